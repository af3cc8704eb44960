"""The status shown again and again on a terminal, until Ctrl-C."""

import signal
from collections.abc import Callable

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mcwatch.cli import status_tables
from mcwatch.cli.tables import console, text
from mcwatch.domain.errors import ConfigError, McwatchError
from mcwatch.domain.status import StatusReport


def watch_status(ask: Callable[[], StatusReport], every_secs: float, *, whole: bool) -> None:
    """Redraw what ``ask`` returns, and at once when the terminal's size changes; ends by KeyboardInterrupt.

    Unless ``whole``, few of many accounts are shown.

    When the daemon stops, its last report stays and says so. Raises typer.BadParameter where there is no terminal, and
    what ``ask`` raises at first.
    """
    out = console()
    if not out.is_terminal:
        raise typer.BadParameter(
            "needs a terminal; for programs, ask for --output json in a loop", param_hint="--watch"
        )
    watched = _Watched(ask, whole=whole)
    # A signal that waits to be taken interrupts nothing, and ends the wait below at once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(watched.screen(out), refresh=True)
            if signal.sigtimedwait({signal.SIGWINCH}, every_secs) is None:
                watched.look()


class _Watched:
    """The last report, and whether it is still true."""

    def __init__(self, ask: Callable[[], StatusReport], *, whole: bool = False) -> None:
        self._ask = ask
        self._whole = whole
        self._report = ask()
        self._trouble = ""

    def look(self) -> None:
        """Ask again; what was seen of a running daemon stays when it cannot be asked any more."""
        try:
            report = self._ask()
        except ConfigError as error:
            self._trouble = error.problems[0]
        except McwatchError as error:
            self._trouble = str(error)
        else:
            self._trouble = "the daemon has stopped" if self._report.live and not report.live else ""
            if not self._trouble:
                self._report = report

    def screen(self, out: Console) -> RenderableType:
        """Return what stands on the screen: on a low one the destinations matter more than what lies between."""
        shown = self._shown(out, status_tables.Detail.ALL)
        for detail in (status_tables.Detail.COVERAGE, status_tables.Detail.STATE):
            if len(out.render_lines(shown, pad=False)) <= out.height:
                break
            shown = self._shown(out, detail)
        return shown

    def _shown(self, out: Console, detail: status_tables.Detail) -> Group:
        return Group(self._line(detail), *status_tables.parts(self._report, out.width, detail, whole=self._whole))

    def _line(self, detail: status_tables.Detail) -> Text:
        at = f"{self._report.at:%Y-%m-%d %H:%M:%S} UTC"
        if self._trouble:
            return text(f"not reachable since {at}: {self._trouble}", "bold yellow")
        more = "" if detail is status_tables.Detail.ALL else ", a taller terminal shows more"
        return text(f"{at}   Ctrl-C ends this{more}", "dim")
