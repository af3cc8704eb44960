"""What stands on the screen of ``status --watch``."""

import io

import msgspec
from rich.console import Console

from mcwatch.cli.watching import _Watched
from mcwatch.domain.errors import ConfigError, McwatchError, TransientError
from mcwatch.domain.status import StatusReport
from tests.unit.httpserver.reports import quiet_report, troubled_report


def _asking(*answers: StatusReport | McwatchError) -> _Watched:
    coming = iter(answers)

    def ask() -> StatusReport:
        answer = next(coming)
        if isinstance(answer, McwatchError):
            raise answer
        return answer

    return _Watched(ask)


def _screen(watched: _Watched, height: int = 60) -> str:
    out = Console(width=80, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    out.print(watched.screen(out))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_last_state_stays_when_the_daemon_stops() -> None:
    """With since when; what the store says without it does not take its place. A daemon that comes back is shown."""
    stopped = msgspec.structs.replace(quiet_report(), live=False)
    mute = TransientError("the daemon did not answer")
    watched = _asking(troubled_report(), stopped, mute, ConfigError(["the file is gone"]), quiet_report())
    seen = []
    for _ in range(4):
        watched.look()
        seen.append(_screen(watched))
    since = "not reachable since 2026-01-05 09:30:00 UTC: "
    for screen, why in zip(
        seen, ("the daemon has stopped", "the daemon did not answer", "the file is gone"), strict=False
    ):
        assert since + why in screen
        assert "needs attention" in screen
    assert "not reachable" not in seen[3]
    assert "all is well" in seen[3]


def test_a_store_without_a_daemon_can_be_watched() -> None:
    """Until one starts."""
    watched = _asking(msgspec.structs.replace(quiet_report(), live=False), quiet_report())
    assert "no daemon is running" in _screen(watched)
    watched.look()
    assert "all is well" in _screen(watched)


def test_a_low_terminal_shows_the_destinations() -> None:
    """What lies between them and the top is left out, and said so."""
    watched = _asking(troubled_report())
    assert "Queues and quota" in _screen(watched)
    low = _screen(watched, height=24)
    assert "a taller terminal shows more" in low
    assert "Queues and quota" not in low
    assert "archive" in low
