"""The options that all sinks over HTTP have in common."""

import base64
import re
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from mcwatch.option_types import Duration, Secret, TlsConfig
from mcwatch.sinks.base import BaseSinkConfig
from mcwatch.sinks.receiver.target import Target

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header name, RFC 9110 section 5.6.2."""


def basic(user: str, password: str) -> str:
    """Return the Authorization header of a user (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _check_url(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write the URL as https://host[:port]/path or http://…")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("the URL holds a space or a control character: write it percent-encoded")
    return url


def _check_urls(urls: list[str]) -> list[str]:
    if len({_bare(url) for url in urls}) < len(urls):
        raise ValueError("a URL is given twice")
    users = {(urlsplit(url).username, urlsplit(url).password) for url in urls}
    if len(users) > 1:
        raise ValueError("the URLs have different users: they are servers of one receiver, with one credential")
    return urls


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ReceiverConfig(BaseSinkConfig):
    """What all sinks over HTTP have in common."""

    url: Annotated[
        list[Annotated[str, AfterValidator(_check_url)]],
        AfterValidator(_check_urls),
        BeforeValidator(_one_or_more, json_schema_input_type=str | list[str]),
    ] = Field(
        min_length=1,
        repr=False,
        description="Where to send: https://host[:port][/path], or a list of such URLs of one receiver, tried in turn "
        "when one fails. Redirects are never followed.",
    )
    timeout: Duration = Field(30.0, gt=0, description="Seconds for a whole request. Default 30s.")
    proxy: Secret | None = Field(
        None,
        description="URL of an HTTP proxy, http://[user:password@]host:port. Default none; the environment is ignored.",
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS towards the receiver (https only).")

    @property
    def url_user(self) -> str | None:
        """The Authorization header of the user in the URL, None when it names none."""
        parts = urlsplit(self.url[0])
        return None if parts.username is None else basic(unquote(parts.username), unquote(parts.password or ""))

    @property
    def targets(self) -> list[Target]:
        """The URLs, without user and password."""
        return [Target(_bare(url)) for url in self.url]


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None
