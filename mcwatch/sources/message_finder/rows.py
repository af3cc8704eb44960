"""The rows of the message finder, and where its answers keep them."""

import msgspec

from mcwatch.domain.record import WireAddress
from mcwatch.sources.base import RowReader, WireRow


class FinderRow(WireRow, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A row as the vendor's page and real answers spell it."""

    from_header: WireAddress | None = msgspec.field(default=None, name="fromHdr")
    sender_ip: str | None = msgspec.field(default=None, name="senderIP")


class FinderItem(msgspec.Struct, gc=False):
    """The one object in ``data``."""

    tracked_emails: list[FinderRow] | None = msgspec.field(default=None, name="trackedEmails")


ROWS = RowReader(FinderItem, FinderRow, "trackedEmails")
