"""``mcwatch demo``."""

import pytest

from tests.unit.cli.programs import Program


def test_passes_its_options_on(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed, faults and address have defaults that suit a first look."""
    calls: list[dict[str, object]] = []

    def demo(**options: object) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr("mcwatch.app.demo", demo)
    program.run("demo")
    program.run("demo", "--seed", "7", "--faults", "chaos", "--listen", "127.0.0.1:0")

    assert calls == [
        {"seed": 1, "faults": "none", "listen": "127.0.0.1:9640"},
        {"seed": 7, "faults": "chaos", "listen": "127.0.0.1:0"},
    ]
