"""What the shell completes beside commands and options: names out of the configuration file, and closed sets.

The file is read as it stands, no secret is resolved; where it cannot be read nothing is offered.
"""

from pathlib import Path

import typer

_KINDS = ("message.*", "message.changed", "message.seen", "queue.*", "queue.changed", "queue.entered", "queue.left")


def complete_account(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the accounts of the configuration file."""
    from mcwatch.cli.outline import outline

    return _begin_with(incomplete, outline(_config(context)).accounts)


def complete_destination(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the destinations of the configuration file."""
    from mcwatch.cli.outline import outline

    return _begin_with(incomplete, outline(_config(context)).destinations)


def complete_kind(incomplete: str) -> list[str]:
    """Offer the kinds of event."""
    return _begin_with(incomplete, _KINDS)


def complete_faults(incomplete: str) -> list[str]:
    """Offer what the simulator can do wrong."""
    from mcwatch.simulator import PROFILES

    return _begin_with(incomplete, tuple(PROFILES))


def _begin_with(incomplete: str, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _config(context: typer.Context) -> Path:
    given = context.params.get("config")
    return Path(given) if given else Path("mcwatch.yaml")
