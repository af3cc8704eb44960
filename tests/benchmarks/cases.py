"""What is measured: the destinations of each case, and what is subtracted from it for its line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mcwatch.domain.passage import Passage
from mcwatch.formats import FormatConfig
from tests.benchmarks.peers import Addresses

Document = dict[str, Any]
"""A destination as the configuration has it."""

_REDACT = {
    "key": "0123456789abcdef0123456789abcdef",
    "fields": {"subject": "drop", "from_header.address": "hash", "to.address": "domain"},
}
"""The rules of the contract's example; ``message.id`` and ``message.key`` are hashed whatever they say."""


@dataclass(frozen=True, slots=True)
class Case:
    """A configuration; ``stays`` are those that the queue has kept before the finder is read."""

    destinations: Sequence[Document]
    stays: Sequence[Passage] = ()


@dataclass(frozen=True, slots=True)
class Further:
    """A line: what one destination more costs, as the difference to the case named ``base``."""

    name: str
    base: str
    case: Case


def hook(to: Addresses, number: int, compression: str = "none", form: str = "json") -> Document:
    """Return the destination ``hook<number>``."""
    name = f"hook{number}"
    return _destination(
        name, {"type": "http", "url": f"{to.http}/in/{name}", "compression": compression}, {"format": {"type": form}}
    )


def formats() -> list[str]:
    """Return the names of all formats but the native one."""
    union = get_args(get_args(FormatConfig)[0])
    names = [str(member.model_fields["type"].default) for member in union]
    return [name for name in names if name != "json"]


def further_lines(to: Addresses, folder: Path) -> list[Further]:
    """Return one line per format and per sink, each beside the destination of :data:`BASE`."""
    first = hook(to, 0)
    lines = [Further(BASE, "", Case([first]))]
    for form in formats():
        second, third = hook(to, 1, form=form), hook(to, 2, form=form)
        lines.append(Further(f"format_{form}", BASE, Case([first, second])))
        lines.append(Further(f"format_{form}_again", f"format_{form}", Case([first, second, third])))
    lines.append(Further("redacted", BASE, Case([first, {**hook(to, 1), "redact": _REDACT}])))
    for name, sink in _sinks(to, folder):
        lines.append(Further(f"sink_{name}", BASE, Case([first, _destination(name, sink)])))
    return lines


BASE = "base"
"""The case that has the first destination alone."""


def _sinks(to: Addresses, folder: Path) -> Iterator[tuple[str, Document]]:
    """Yield a sink of every type and way, under the name that its peer counts by; bodies are not packed."""
    yield "stdout", {"type": "stdout"}
    yield "file", {"type": "file", "path": str(folder / "events.ndjson"), "rotate_at": "1GiB"}
    for transport, port in (("udp", to.udp), ("tcp", to.tcp), ("relp", to.relp)):
        yield f"syslog_{transport}", {"type": "syslog", "address": f"127.0.0.1:{port}", "transport": transport}
    plain = {"compression": "none"}
    for name, ack in (("splunk_hec", False), ("splunk_hec_ack", True)):
        yield name, {"type": "splunk_hec", "url": f"{to.http}/hec/{name}", "token": "bench", "ack": ack, **plain}
    name = "elasticsearch"
    yield name, {"type": name, "url": f"{to.http}/es/{name}", "data_stream": "logs-mimecast-default", **plain}
    yield "http", {"type": "http", "url": f"{to.http}/in/http", **plain}


def _destination(name: str, sink: Document, more: Document | None = None) -> Document:
    batch = {"max_events": 1000, "max_bytes": "2MiB"}
    return {"name": name, "sink": sink, "start": "earliest", "batch": batch, **(more or {})}
