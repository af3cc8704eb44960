"""Elasticsearch and OpenSearch: batches over the _bulk API, one verdict per event."""

from mcwatch.sinks.elasticsearch.config import ElasticsearchSinkConfig

__all__ = ["ElasticsearchSinkConfig"]
