"""The options of the http sink."""

from functools import partial
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator

from mcwatch.interfaces import Sink
from mcwatch.option_types import Config, Secret
from mcwatch.sinks.http.body import Body, Compression
from mcwatch.sinks.http.signature import Signer
from mcwatch.sinks.http.sink import HttpSink, RequestOptions
from mcwatch.sinks.receiver import (
    TOKEN,
    Header,
    Receiver,
    ReceiverConfig,
    ReceiverOptions,
    basic,
    revealed,
    wall_clock,
)

_OURS = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "idempotency-key"})
_CONFLICT = 409


def _check_header(name: str) -> str:
    if not TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    if name.lower() in _OURS:
        raise ValueError(f"the header {name} is set by mcwatch itself")
    return name


def _check_status(status: int) -> int:
    if not 200 <= status <= 299 and status != _CONFLICT:
        raise ValueError("a status that accepts is 200 to 299, or 409")
    return status


HeaderName = Annotated[str, AfterValidator(_check_header)]
Status = Annotated[int, AfterValidator(_check_status)]


class SignatureConfig(Config):
    """A signature that tells the receiver who wrote a body and when."""

    secret: Secret = Field(description="The key, shared with the receiver: the bytes of this text in UTF-8.")
    header: HeaderName = Field(
        "X-Mcwatch-Signature",
        description="Header of the signature: sha256= and the lower-case hex of HMAC-SHA256 over the value of the "
        "timestamp header, a full stop, and the body as it arrives (packed, if compression is on). Compare it in "
        "constant time.",
    )
    timestamp_header: HeaderName = Field(
        "X-Mcwatch-Timestamp",
        description="Header of the moment of sending, in Unix seconds. Refuse what is older than some minutes; each "
        "repeat is signed anew.",
    )

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.header.lower() == self.timestamp_header.lower():
            raise ValueError("header and timestamp_header are the same")
        return self


class HttpSinkConfig(ReceiverConfig):
    """Any receiver that takes JSON or text over HTTP."""

    type: Literal["http"] = Field(description="A web hook: one request per batch or event, accepted with any 2xx.")
    method: Literal["POST", "PUT"] = Field("POST", description="HTTP method. Default POST, what web hooks expect.")
    headers: dict[str, Secret] = Field(
        default_factory=dict,
        description="Headers added to each request; values are secrets, and read again when their file changes.",
    )
    bearer: Secret | None = Field(None, description="Token sent as Authorization: Bearer. Default none.")
    username: str | None = Field(
        None, pattern=r"^[^:]+$", description="User of Basic authorization; needs password. Default none."
    )
    password: Secret | None = Field(None, description="Password of username. Default none.")
    signature: SignatureConfig | None = Field(None, description="Signs each body. Default none.")
    body: Body = Field(
        "ndjson",
        description="ndjson (one event per line), array (one JSON array) or single (one event per request, one request "
        "after the other). Default ndjson, readable as a stream. Formats that are text go as lines or single.",
    )
    compression: Compression = Field(
        "gzip",
        description="Packing of the body: gzip, zstd (which fewer receivers read) or none. Default gzip: JSON shrinks "
        "to about a tenth.",
    )
    success: list[Status] = Field(
        default_factory=list,
        description="Statuses that accept the events, any other is a failure; 409 for receivers that answer it to "
        "events they have. Default any 2xx.",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        names = [_check_header(name).lower() for name in headers]
        if len(set(names)) < len(names):
            raise ValueError("a header is given twice")
        return headers

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        names = {name.lower() for name in self.headers}
        given = [self.url_user, self.bearer, self.username, "authorization" in names or None]
        if len([one for one in given if one is not None]) > 1:
            raise ValueError(
                "give one credential: in the URL, as bearer, as username and password, or as an Authorization header"
            )
        taken = names | {"content-type"} | ({"authorization"} if any(given) else set())
        if self.signature and taken & {self.signature.header.lower(), self.signature.timestamp_header.lower()}:
            raise ValueError("a header of the signature is also sent for another purpose")
        return self

    @property
    def why_no_text(self) -> str:
        """A JSON array holds no text."""
        if self.body != "array":
            return ""
        return "text cannot stand in a JSON array; write body: ndjson (a line per event) or body: single for the sink"

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink."""
        signature = self.signature
        options = ReceiverOptions(
            targets=self.targets,
            headers=self._headers(),
            timeout_secs=self.timeout,
            proxy=self.proxy,
            tls=self.tls.build(),
        )
        requests = RequestOptions(
            method=self.method,
            body=self.body,
            compression=self.compression,
            signer=Signer(signature.secret, signature.header, signature.timestamp_header, wall_clock)
            if signature
            else None,
            success=frozenset(self.success),
        )
        return HttpSink(Receiver(options), requests)

    def _headers(self) -> list[Header]:
        headers: list[Header] = [(name, secret.reveal) for name, secret in self.headers.items()]
        user = self.url_user
        if user is not None:
            headers.append(("Authorization", lambda: user))
        if self.bearer:
            headers.append(("Authorization", partial(_bearer, self.bearer)))
        if self.username is not None and self.password:
            headers.append(("Authorization", partial(_basic, self.username, self.password)))
        return headers


def _bearer(token: Secret) -> str:
    return f"Bearer {revealed(token.reveal, 'bearer')}"


def _basic(username: str, password: Secret) -> str:
    return basic(username, revealed(password.reveal, "password"))
