"""A real Apache Kafka for the tests: the server's own jars, fetched by Maven, run as one node on loopback."""

from tests.integration.kafka.broker import KafkaBroker

__all__ = ["KafkaBroker"]
