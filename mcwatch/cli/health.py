"""``mcwatch health``: does the daemon of this machine live."""

from pathlib import Path

from mcwatch.cli.options import DEFAULT_CONFIG, ConfigOption, ListenOption, StoreUrlOption

_TIMEOUT_SECS = 5.0


def health(
    config: ConfigOption = DEFAULT_CONFIG, store_url: StoreUrlOption = None, listen: ListenOption = None
) -> None:
    """Ask the running daemon whether it is alive. For container and process supervisors.

    It is asked over its control socket, or with a shared store over its HTTP listener, which needs no password for it.
    Alive means that its event loop and the threads that write to the store answer within 5 seconds; what accounts and
    destinations do plays no part (see status). Exit codes: 0 alive, 1 not, 2 wrong usage, 78 the configuration cannot
    be used.
    """
    from mcwatch.cli import local
    from mcwatch.cli.outline import store_file
    from mcwatch.domain.errors import PermanentError

    file = store_file(config, store_url)
    if file is None:
        _ask_listener(config, listen)
    elif local.ask(file, "/health", dict[str, bool], _TIMEOUT_SECS) is None:
        raise PermanentError(
            f"no daemon runs on the store {file}", remedy="start mcwatch run, or check store.url and the directory"
        )
    print("alive")


def _ask_listener(config: Path, listen: str | None) -> None:
    from mcwatch.cli.listener import ask_alive
    from mcwatch.cli.outline import place

    known = place(config)
    address, speaks_tls = listen or known.listen, known.speaks_tls
    if address is None:
        from mcwatch import settings

        http = settings.load(config).http
        address, speaks_tls = http.listen, http.tls is not None
    ask_alive(address, speaks_tls=speaks_tls, timeout_secs=_TIMEOUT_SECS)
