"""``mcwatch run``: the daemon."""

from typing import Annotated

import typer

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    drain_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to go on delivering after SIGTERM or Ctrl-C.")
    ] = "20s",
) -> None:
    """Run the daemon.

    SIGTERM or Ctrl-C stops polling, delivers what is due within the drain time, and exits with 0. SIGHUP reads the
    configuration again: what has changed is swapped, and a file that cannot be used changes nothing.
    """
    from mcwatch import app, settings
    from mcwatch.cli.durations import parse_duration

    drain_timeout_secs = parse_duration("--drain-timeout", drain_timeout)
    raise typer.Exit(app.run(settings.load(config), config, drain_timeout_secs))
