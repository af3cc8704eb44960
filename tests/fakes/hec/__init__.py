"""A strict Splunk HTTP Event Collector, written from the protocol notes: it refuses what Splunk refuses."""

from tests.fakes.hec.answers import said
from tests.fakes.hec.indexer import Envelope, Indexer
from tests.fakes.hec.server import TOKEN, Hec, Token

__all__ = ["TOKEN", "Envelope", "Hec", "Indexer", "Token", "said"]
