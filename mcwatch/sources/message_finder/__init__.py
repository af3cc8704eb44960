"""The message finder: what happened to mail, searched in rolling time windows (reference notes G)."""

from mcwatch.sources.message_finder.config import MessageFinderConfig
from mcwatch.sources.message_finder.rows import FinderItem, FinderRow
from mcwatch.sources.message_finder.source import MessageFinderSource

__all__ = ["FinderItem", "FinderRow", "MessageFinderConfig", "MessageFinderSource"]
