"""The accounts that a command shows: those asked for, else all, or of many those that need somebody."""

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

import msgspec
import typer

from mcwatch.cli.suggesting import suggestion
from mcwatch.domain.status import AccountStatus, StatusReport, problems
from mcwatch.httpserver.account_cards import WELL, rank

_MOST_ACCOUNTS = 50
"""More rows than this nobody reads on a terminal."""


def known_accounts(names: Collection[str], patterns: list[str]) -> list[str]:
    """Return the patterns; raises typer.BadParameter for one that fits none of the names, where there are any."""
    for pattern in patterns:
        if names and not any(fnmatchcase(name, pattern) for name in names):
            raise typer.BadParameter(
                f"there is no account {pattern!r}; {suggestion(pattern, names)}", param_hint="--account"
            )
    return patterns


def only_accounts(report: StatusReport, patterns: list[str]) -> StatusReport:
    """Return what the report says of accounts that fit a pattern; without any, all of it.

    Whether all is well is then told of these, and of what all accounts share. Raises typer.BadParameter for a pattern
    that fits none of those reported, which may be in no configuration any more.
    """
    if not patterns:
        return report
    known_accounts([one.name for one in report.accounts], patterns)
    accounts = [one for one in report.accounts if any(fnmatchcase(one.name, pattern) for pattern in patterns)]
    picked = msgspec.structs.replace(report, accounts=accounts)
    return msgspec.structs.replace(picked, healthy=report.live and not problems(picked))


def worth_a_look(accounts: Sequence[AccountStatus]) -> tuple[list[AccountStatus], int]:
    """Return the accounts to list and how many are left out: of many those that are not well are listed, the worst."""
    if len(accounts) <= _MOST_ACCOUNTS:
        return list(accounts), 0
    listed = sorted((one for one in accounts if rank(one) < WELL), key=rank)[:_MOST_ACCOUNTS]
    return listed, len(accounts) - len(listed)
