"""The feeds mcwatch reads. The union of their configurations is the registry of what there is."""

from typing import Annotated

from pydantic import Field

from mcwatch.sources.base import SourceContext
from mcwatch.sources.message_finder import MessageFinderConfig, MessageFinderSource
from mcwatch.sources.message_finder.searches import STATUSES, Search
from mcwatch.sources.processing_queue import ProcessingQueueConfig

SourceConfig = Annotated[ProcessingQueueConfig | MessageFinderConfig, Field(discriminator="type")]

__all__ = ["STATUSES", "MessageFinderConfig", "MessageFinderSource", "Search", "SourceConfig", "SourceContext"]
