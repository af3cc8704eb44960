"""A real OpenSearch for the tests: the server's own jars, fetched by Maven, run as one node on loopback."""

from tests.integration.opensearch.node import OpenSearch

__all__ = ["OpenSearch"]
