"""The account's own domains as they were discovered: what counts as one, when to ask again, when one is gone."""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

DAY = timedelta(days=1)

_LONGEST_NAME = 253
_ASCII_SIGNS = frozenset("-._")
_REPLACEMENT = "\ufffd"


class DomainList(msgspec.Struct, frozen=True, omit_defaults=True):
    """The domains of an account; the value of the cursor ``domains``.

    ``listed_at`` says of each when it was last listed, ``missing_since`` of those the latest answer did not list when
    that began. ``refreshed_at`` is None of a list that was never filled.
    """

    refreshed_at: datetime | None = None
    listed_at: dict[str, datetime] = {}
    missing_since: dict[str, datetime] = {}


def domain_name(text: str) -> str | None:
    """Return the domain as it is searched for; None for what cannot be one, such as an address or a wildcard.

    Names beyond ASCII stay as they are listed: whether the API knows their ASCII form is not documented.
    """
    name = text.strip().removesuffix(".").lower()
    if not name or len(name) > _LONGEST_NAME or not all(name.split(".")):
        return None
    return name if all(_may_be_part(sign) for sign in name) else None


def domains(known: DomainList | None) -> list[str]:
    """Return the names, sorted."""
    return sorted(known.listed_at) if known else []


def due(known: DomainList | None, now: datetime) -> bool:
    """Tell whether the list is a day old, or was made by a clock that was ahead."""
    if known is None or known.refreshed_at is None:
        return True
    return not timedelta(0) <= now - known.refreshed_at < DAY


def refresh(
    known: DomainList | None, listed: Collection[str], now: datetime, *, complete: bool = True
) -> tuple[DomainList, list[str], list[str]]:
    """Return the list after an answer that listed these names, and what was added to it and removed from it.

    A name is dropped at the first answer without it that comes a day or more after another one without it, the names
    in between lacking it too: one odd answer drops nothing, however long ago the last good one was. An answer that
    lists nothing changes nothing, one that is not ``complete`` drops nothing.
    """
    before = known or DomainList()
    named = {name for text in listed if (name := domain_name(text)) is not None}
    if not named:
        return before, [], []
    missing = _missing(before, named, now) if complete else before.missing_since
    removed = {name for name, since in missing.items() if complete and now - since >= DAY}
    listed_at = {name: at for name, at in before.listed_at.items() if name not in removed}
    listed_at.update(dict.fromkeys(named, now))
    missing_since = {name: since for name, since in missing.items() if name not in named | removed}
    return DomainList(now, listed_at, missing_since), sorted(named - before.listed_at.keys()), sorted(removed)


def _missing(before: DomainList, named: Collection[str], now: datetime) -> dict[str, datetime]:
    """Return since when each domain is missing; a time in the future was told by a wrong clock and counts as now."""
    absent = (name for name in before.listed_at if name not in named)
    return {name: min(before.missing_since.get(name, now), now) for name in absent}


def _may_be_part(sign: str) -> bool:
    if sign.isascii():
        return sign.isalnum() or sign in _ASCII_SIGNS
    return sign.isprintable() and sign != _REPLACEMENT
