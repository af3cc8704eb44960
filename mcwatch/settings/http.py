"""The HTTP listener's section of the configuration."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcwatch.option_types import Config, Secret

_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(?P<port>\d{1,5})")


def _check_listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise PydanticCustomError("listen", "write host:port, such as 127.0.0.1:9640 or [::1]:9640")
    return text


def _check_username(text: str) -> str:
    # RFC 7617 section 2: a colon would end it, and control characters are not allowed.
    if not text or ":" in text or not text.isprintable():
        raise PydanticCustomError("username", "write a name without colons and control characters")
    return text


class HttpTlsConfig(Config):
    """The certificate of the HTTP listener. Its files are read again when they change."""

    cert_file: Path = Field(
        description="PEM file with the server's certificate, followed by those of the authorities between it and the "
        "root. Both files are read again when they change; while the new ones cannot be used, the old ones serve on."
    )
    key_file: Path | None = Field(
        None, description="PEM file with the certificate's private key, not encrypted. null when cert_file holds it."
    )


class BasicAuthConfig(Config):
    """The name and password that the HTTP listener asks for."""

    username: Annotated[str, AfterValidator(_check_username)] = Field(description="The name to log in with.")
    password: Secret = Field(description="The password to log in with.")


class HttpConfig(Config):
    """The status page, metrics and health checks."""

    listen: Annotated[str, AfterValidator(_check_listen)] = Field(
        "127.0.0.1:9640",
        description="host:port to listen on, [address]:port with IPv6; port 0 takes a free one. "
        "Loopback unless told otherwise, because the pages show account names.",
    )
    tls: HttpTlsConfig | None = Field(None, description="Serve HTTPS with this certificate. Default: plain HTTP.")
    basic_auth: BasicAuthConfig | None = Field(
        None,
        description="Ask for this name and password on every path but /healthz and /readyz, of which the latter then "
        "only says whether the daemon is ready. Default: no password.",
    )
    reload: bool = Field(
        False,
        description="Whether POST /-/reload has the configuration file read again, as SIGHUP does. Browsers are "
        "refused, so that no web page can do it; the password is needed where one is set.",
    )
