"""Log lines as they reach the stream, ours and those of libraries."""

import io
import logging
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog

from mcwatch.telemetry import logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Give the process its logging back; pytest's own handlers must not be closed by ours."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    structlog.reset_defaults()
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _BrokenPipe(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_and_event_first() -> None:
    """The three fields everybody looks for come first; the time is RFC 3339 in UTC."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("poll_done", rows=3, account="acme")

    (line,) = _lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert (line["level"], line["event"], line["rows"], line["account"]) == ("info", "poll_done", 3, "acme")
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize(("stream", "as_json"), [(io.StringIO(), True), (_Terminal(), False)])
def test_auto_looks_at_the_stream(stream: io.StringIO, as_json: bool) -> None:
    """JSON into files and pipes, the console form on a terminal."""
    logs.configure("info", "auto", stream)
    structlog.get_logger().info("poll_done")

    assert stream.getvalue().startswith("{") is as_json


def test_the_level_can_be_changed() -> None:
    """What is below the level is not written; a second call takes effect for loggers already in use."""
    stream = io.StringIO()
    log = structlog.get_logger()
    logs.configure("warning", "json", stream)
    log.info("quiet")
    logs.configure("debug", "json", stream)
    log.debug("loud")

    assert [line["event"] for line in _lines(stream)] == ["loud"]


@pytest.mark.parametrize("name", ["aiohttp.server", "asyncio", "anything"])
def test_libraries_come_through_the_same_lines(name: str) -> None:
    """A warning of a library is a JSON line with its logger's name, redacted like ours; its chatter is left out."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("refused %s", "Authorization: Bearer planted-secret")

    (line,) = _lines(stream)
    assert line["event"] == "refused Authorization: Bearer ****"
    assert (line["level"], line["logger"]) == ("warning", name)


def test_warnings_of_python_are_logged() -> None:
    """They do not write to the stream in their own form."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("info", "json", stream)
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    assert [line["logger"] for line in _lines(stream)] == ["py.warnings"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_exceptions_come_without_the_values_of_variables(log_format: logs.LogFormat) -> None:
    """A traceback names places, never locals."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)
    held = "planted" + "-value"
    try:
        raise ValueError(len(held))
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "Traceback" in stream.getvalue()
    assert "planted-value" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_value_cannot_forge_a_line(log_format: logs.LogFormat) -> None:
    """Line ends and escapes in values are written out in either form."""
    stream = io.StringIO()
    logs.configure("info", log_format, stream)
    structlog.get_logger().info("x", name="a\n2026-01-01 [error] forged\x1b[31m")

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_what_json_does_not_know_is_written_as_text() -> None:
    """Any object can be logged."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger().info("x", error=ValueError("boom"), delta=timedelta(seconds=1))

    (line,) = _lines(stream)
    assert (line["error"], line["delta"]) == ("boom", "0:00:01")


def test_a_reader_that_has_gone_does_not_stop_anything() -> None:
    """Logging into a closed pipe raises nothing, neither from us nor from libraries."""
    logs.configure("info", "json", _BrokenPipe())

    structlog.get_logger().info("x")
    logging.getLogger("aiohttp").error("y")


def test_bound_context_is_part_of_the_line() -> None:
    """Context variables of a task appear on its lines."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.contextvars.bind_contextvars(poll=7)
    structlog.get_logger().info("x")

    assert _lines(stream)[0]["poll"] == 7
