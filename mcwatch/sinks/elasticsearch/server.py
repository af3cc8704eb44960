"""Which product answers, as ``GET /`` tells. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mcwatch.httpclient.client import Response

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,31}")
_UNSHOWN = re.compile(r"[^ -~]")
_CAN_REQUIRE_SINCE = (8, 13)
"""The first Elasticsearch with require_data_stream (elasticsearch#101872); older ones refuse an unknown parameter."""


class Product(StrEnum):
    """What can stand behind the URL."""

    ELASTICSEARCH = "Elasticsearch"
    OPENSEARCH = "OpenSearch"
    OTHER = "a server with the same API"
    UNKNOWN = "a server that does not tell its product"


class _Version(msgspec.Struct):
    number: str = ""
    distribution: str = ""
    build_flavor: str = ""


class _Info(msgspec.Struct):
    version: _Version
    tagline: str = ""


_INFOS = msgspec.json.Decoder(_Info)


@dataclass(frozen=True, slots=True)
class Server:
    """A product and its version; ``name`` is how another product calls itself."""

    product: Product = Product.UNKNOWN
    version: str = ""
    is_serverless: bool = False
    name: str = ""

    def __str__(self) -> str:
        text = f"{self.product} {self.version}".rstrip()
        return f"{text} ({self.name})" if self.name else text

    @property
    def can_require_data_stream(self) -> bool:
        """Whether it knows the parameter ``require_data_stream``."""
        if self.product is not Product.ELASTICSEARCH:
            return False
        numbers = tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])
        return self.is_serverless or numbers >= _CAN_REQUIRE_SINCE

    @property
    def may_summarize(self) -> bool:
        """Whether it may answer once for all events: seen with servers that only resemble Elasticsearch."""
        return self.product is Product.OTHER


def identify(response: Response) -> Server:
    """Read the answer to ``GET /``.

    Elasticsearch names itself in a header since 7.14, OpenSearch in ``distribution`` and ``tagline``.
    """
    by_header = response.headers.get("X-Elastic-Product") == "Elasticsearch"
    try:
        info = _INFOS.decode(response.body) if response.status == 200 else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        info = None
    if info is None:
        return Server(Product.ELASTICSEARCH) if by_header else Server()
    version = found[0] if (found := _VERSION.match(info.version.number)) else ""
    if info.version.distribution == "opensearch" and info.tagline.startswith("The OpenSearch Project"):
        return Server(Product.OPENSEARCH, version)
    if by_header or (not info.version.distribution and info.tagline == "You Know, for Search"):
        return Server(Product.ELASTICSEARCH, version, is_serverless=info.version.build_flavor == "serverless")
    return Server(Product.OTHER, version, name=_UNSHOWN.sub("", info.tagline)[:60])
