"""How to reach one account's API, as an operator writes it."""

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from mcwatch.mimecast.regions import HMAC_HOSTS, OAUTH2_HOSTS, Region
from mcwatch.option_types import Config, Duration, Secret, Size, TlsConfig

_MIB = 2**20


def _check_base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise PydanticCustomError("base_url", "write the API's address as https://host, without a path")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise PydanticCustomError("base_url", "write only https://host[:port]: no path, query, user or password")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise PydanticCustomError("base_url", "write https://: over http:// the credentials would travel in clear")
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OAuth2Config(Config):
    """An API 2.0 application."""

    type: Literal["oauth2"] = Field("oauth2", description="API 2.0: OAuth2 client credentials.")
    client_id: Secret = Field(description="The application's client id, shown once when the application is made.")
    client_secret: Secret = Field(description="The application's client secret; read anew for every token.")


class HmacConfig(Config):
    """The keys of an API 1.0 application."""

    type: Literal["hmac"] = Field(description="API 1.0: signed requests. Mimecast registers no new 1.0 applications.")
    app_id: Secret = Field(description="The application's id.")
    app_key: Secret = Field(description="The application's key; part of every signed text.")
    access_key: Secret = Field(description="The access key of the user's binding to the application.")
    secret_key: Secret = Field(description="The secret key of the binding, in base64 as Mimecast shows it.")
    user_name: Secret | None = Field(
        None,
        description="Name of the user whose keys these are, an address. With it and password, keys that have expired "
        "(HTTP 418) are refreshed. None by default: keys that expire take the account down until somebody makes new "
        "ones.",
    )
    password: Secret | None = Field(
        None, description="The user's password; read anew for every login, which happens only after an expiry."
    )
    user_auth: Literal["cloud", "domain"] = Field(
        "cloud",
        description="What the password belongs to: cloud, the default, is Mimecast's own, domain is the directory's.",
    )

    @model_validator(mode="after")
    def _check_user(self) -> Self:
        if (self.user_name is None) != (self.password is None):
            raise PydanticCustomError("user", "write both user_name and password, or neither")
        return self


AuthConfig = Annotated[OAuth2Config | HmacConfig, Field(discriminator="type")]


class ApiConfig(Config):
    """The API of one account."""

    base_url: Annotated[str, AfterValidator(_check_base_url)] | None = Field(
        None,
        description="Address of the API, https://host[:port]; http:// only for this machine. Instead of region.",
    )
    region: Region | None = Field(
        None,
        description="Where the account is hosted, instead of base_url. With oauth2: global (the default, for Mimecast "
        "then fails over between regions), us or uk. With hmac: eu, de, us, usb, ca, za, au or je; no default.",
    )
    auth: AuthConfig = Field(description="The credentials.")
    max_requests_per_minute: int = Field(
        120,
        ge=1,
        description="Most requests sent per minute for all sources together. Mimecast publishes no quota for these "
        "endpoints; 120 leaves room for other tools of the same account.",
    )
    request_timeout: Duration = Field(
        30.0, gt=0, description="Time for one request and its whole answer, 30s by default: searches may take long."
    )
    proxy: Secret | None = Field(
        None,
        description="HTTP proxy, http://[user:password@]host:port. None by default; environment variables are ignored.",
    )
    tls: TlsConfig = Field(TlsConfig(), description="Whom to trust, for example a proxy that inspects TLS.")
    max_answer: Size = Field(
        16 * _MIB,
        gt=0,
        description="Largest answer accepted, unpacked, 16MiB by default: far above a full page, so that a broken or "
        "hostile answer costs bounded memory.",
    )

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.base_url and self.region:
            raise PydanticCustomError("region", "write either base_url or region, not both")
        if not self.base_url and self._region() not in self._hosts():
            facts = {"region": self.region, "auth": self.auth.type, "known": ", ".join(self._hosts())}
            text = "{auth} keys belong to a region: set it to one of {known}, or set base_url"
            if self.region:
                text = "region {region} has no published host for {auth} (known: {known}); set base_url instead"
            raise PydanticCustomError("region", text, facts)
        return self

    @property
    def origin(self) -> str:
        """The API's address without a trailing slash."""
        return self.base_url or self._hosts()[self._region()]

    def _region(self) -> str:
        return self.region or ("global" if self.auth.type == "oauth2" else "")

    def _hosts(self) -> dict[str, str]:
        return OAUTH2_HOSTS if self.auth.type == "oauth2" else HMAC_HOSTS
