"""``mcwatch health``: does the daemon of this machine live."""

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, StoreUrlOption

_TIMEOUT_SECS = 5.0


def health(config: ConfigOption = DEFAULT_CONFIG, store_url: StoreUrlOption = None) -> None:
    """Ask the running daemon whether it is alive, over its control socket. For container and process supervisors.

    Alive means that its event loop and the thread that writes to the store answer within 5 seconds; what accounts and
    destinations do plays no part (see status). Exit codes: 0 alive, 1 not, 2 wrong usage, 78 the configuration cannot
    be used.
    """
    from mcwatch.cli import local
    from mcwatch.cli.outline import store_file
    from mcwatch.domain.errors import PermanentError

    file = store_file(config, store_url)
    if local.ask(file, "/health", dict[str, bool], _TIMEOUT_SECS) is None:
        raise PermanentError(
            f"no daemon runs on the store {file}", remedy="start mcwatch run, or check store.url and the directory"
        )
    print("alive")
