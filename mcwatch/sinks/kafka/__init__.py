"""A topic of Apache Kafka: one record per event, the account its key."""

from mcwatch.sinks.kafka.config import KafkaSinkConfig

__all__ = ["KafkaSinkConfig"]
