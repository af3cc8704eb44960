"""The one place that configures logging: structlog for us, and the standard library's loggers routed through it."""

import io
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

import msgspec
import structlog

from mcwatch.telemetry.redaction import redact

if TYPE_CHECKING:
    from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

_LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_FIRST = ("timestamp", "level", "event")


class _Steadfast(io.TextIOBase):
    """Writes as long as somebody reads; a log whose reader is gone or whose disk is full must not stop the daemon."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            # Nowhere is left to say it.
            return


def configure(level: Level = "info", format: LogFormat = "auto", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up all logging of the process; may be called again to change level or format.

    ``auto`` is the console form on a terminal and JSON lines else. Libraries are heard from WARNING up only: what
    matters of their work is in our own lines.
    """
    stream = stream or sys.stderr
    on_terminal = stream.isatty()
    target = cast("TextIO", _Steadfast(stream))
    renderer = (
        _console(colours=on_terminal) if format == "console" or (format == "auto" and on_terminal) else _json_line
    )
    # Libraries attach the logger's name; ours need none, the event's name says it.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [structlog.processors.format_exc_info, _in_order, redact, renderer]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
            use_get_message=True,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)
    logging.captureWarnings(capture=True)


def _in_order(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the fields everybody looks for first."""
    return {key: event[key] for key in _FIRST if key in event} | dict(event)


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _console(*, colours: bool) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
    return structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=32
    )
