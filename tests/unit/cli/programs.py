"""Running the command line inside the test's process."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcwatch.cli import main

CONFIG = """\
store: {url: "sqlite:///%s"}
accounts:
  - name: acme
    api: {base_url: "http://127.0.0.1:1", auth: {type: oauth2, client_id: planted-id, client_secret: planted-secret}}
    sources: [{type: message_finder, domains: [corp.example]}]
destinations:
  - {name: archive, sink: {type: file, path: out.ndjson}}
"""


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str


class Program:
    """The program ``mcwatch``, with a configuration file of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = folder / "mcwatch.db"
        self.config = folder / "mcwatch.yaml"
        self.config.write_text(CONFIG % self.store)
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)

    def run(self, *arguments: str) -> Finished:
        """Run a command to its end."""
        self._monkeypatch.setattr(sys, "argv", ["mcwatch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        code = ended.value.code
        return Finished(code if isinstance(code, int) else 0, captured.out, captured.err)
