"""The options of the elasticsearch sink."""

import base64
import re
from collections.abc import Callable
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator

from mcwatch.interfaces import Sink
from mcwatch.option_types import Secret
from mcwatch.sinks.elasticsearch.bulk import WriteTarget
from mcwatch.sinks.elasticsearch.sink import ElasticsearchSink
from mcwatch.sinks.receiver import Header, Receiver, ReceiverConfig, ReceiverOptions, basic, revealed

_ANSWER_BYTES = 16 * 2**20
"""An answer is cut behind this. A refusal takes up to about 2 KiB, a batch has hundreds of them at worst."""
_NOT_IN_A_NAME = re.compile(r'[\\/*?"<>|\s,#:]')
_LONGEST_NAME_BYTES = 255


def _check_name(name: str) -> str:
    """Check what Elasticsearch and OpenSearch check (reference, Create index API)."""
    if _NOT_IN_A_NAME.search(name) or not name.isprintable():
        raise ValueError('an index name has no space, control character or any of \\ / * ? " < > | , # :')
    if name != name.lower():
        raise ValueError("an index name is lower case")
    if name in {".", ".."} or name.startswith(("-", "_", "+", ".ds-")):
        raise ValueError("an index name does not begin with - _ + or .ds-, and is not . or ..")
    if len(name.encode()) > _LONGEST_NAME_BYTES:
        raise ValueError(f"an index name has at most {_LONGEST_NAME_BYTES} bytes")
    return name


_Name = Annotated[str, Field(min_length=1), AfterValidator(_check_name)]


class ElasticsearchSinkConfig(ReceiverConfig):
    """Elasticsearch or OpenSearch."""

    type: Literal["elasticsearch"] = Field(
        description="Elasticsearch or OpenSearch: bulk requests, each event written once under its event_id."
    )
    data_stream: _Name | None = Field(
        None,
        description="Data stream to write to, such as logs-mimecast-default. This or index. A fixed name: to part "
        "accounts, use a destination for each, or an ingest pipeline with a reroute processor.",
    )
    index: _Name | None = Field(None, description="Index or alias to write to. This or data_stream; also a fixed name.")
    pipeline: str | None = Field(
        None, min_length=1, description="Ingest pipeline the events pass. Default the index's own."
    )
    api_key: Secret | None = Field(
        None, description="API key, either encoded as Elasticsearch shows it, or as id:api_key."
    )
    username: str | None = Field(None, min_length=1, description="User name, with password.")
    password: Secret | None = Field(None, description="The user's password.")
    bearer: Secret | None = Field(None, description="Bearer token of a service account or a single sign-on.")
    compression: Literal["gzip", "none"] = Field(
        "gzip", description="Packing of the body. Default gzip: JSON shrinks to about a tenth."
    )

    @field_validator("url")
    @classmethod
    def _check_base(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.query or parts.fragment:
                raise ValueError("write the URL without ? or #: what follows is added by mcwatch")
            if parts.path.rstrip("/").endswith("/_bulk"):
                raise ValueError("write the URL of the server alone: mcwatch adds the index and /_bulk")
        return urls

    @field_validator("username")
    @classmethod
    def _check_username(cls, username: str | None) -> str | None:
        if username and ":" in username:
            raise ValueError("a user name has no colon (RFC 7617)")
        return username

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if (self.data_stream is None) == (self.index is None):
            raise ValueError("give either data_stream or index")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        given = [self.api_key, self.username, self.bearer, self.url_user]
        if len([one for one in given if one is not None]) > 1:
            raise ValueError("give one credential: api_key, username and password, bearer, or a user in the URL")
        return self

    @property
    def why_no_text(self) -> str:
        """Documents are JSON."""
        return "documents are JSON"

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink."""
        value = self._authorization()
        headers: list[Header] = [("Authorization", value)] if value else []
        options = ReceiverOptions(
            targets=self.targets,
            headers=headers,
            timeout_secs=self.timeout,
            proxy=self.proxy,
            tls=self.tls.build(),
            answer_bytes=_ANSWER_BYTES,
        )
        target = WriteTarget(self.data_stream or self.index or "", self.data_stream is not None, self.pipeline)
        return ElasticsearchSink(Receiver(options), target, compressed=self.compression == "gzip")

    def _authorization(self) -> Callable[[], str] | None:
        key, user, password, bearer, url_user = self.api_key, self.username, self.password, self.bearer, self.url_user
        if key is not None:
            return lambda: f"ApiKey {_encoded(revealed(key.reveal, 'api_key'))}"
        if bearer is not None:
            return lambda: f"Bearer {revealed(bearer.reveal, 'bearer')}"
        if user is not None and password is not None:
            return lambda: basic(user, revealed(password.reveal, "password"))
        return None if url_user is None else lambda: url_user


def _encoded(api_key: str) -> str:
    """Return ``id:api_key`` as Elasticsearch wants it; the encoded form, which has no colon, is left alone."""
    return base64.b64encode(api_key.encode()).decode("ascii") if ":" in api_key else api_key
