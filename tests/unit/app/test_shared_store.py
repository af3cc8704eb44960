"""The way to a shared store."""

import sys
from pathlib import Path

import pytest

from mcwatch.app import checks, offline
from mcwatch.app.offline import offline_status
from mcwatch.app.shared_store import shared_store
from mcwatch.domain.errors import ConfigError
from mcwatch.settings import Settings
from tests.unit.app.settings import settings


def _shared(place: Path) -> Settings:
    given = settings(place)
    store = given.store.model_copy(update={"url": type(given.store.url)("postgresql://u:hush@db.example/mcwatch")})
    return given.model_copy(update={"store": store})


@pytest.fixture
def _without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the process look as if PostgreSQL's driver had not been installed."""
    for name in [name for name in sys.modules if name.startswith("mcwatch.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "mcwatch.app.asking", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for module in (offline, checks):
        monkeypatch.setattr(module, "configure", lambda _level: None)


@pytest.mark.usefixtures("_without_driver")
def test_what_to_install_is_said(tmp_path: Path) -> None:
    """By whatever needs the store, and by a check before anything is tried."""
    shared = _shared(tmp_path)
    for ask in (shared_store, offline_status):
        with pytest.raises(ConfigError) as caught:
            ask(shared)
        assert 'pip install "mcwatch[postgres]"' in caught.value.problems[0]
        assert "hush" not in caught.value.problems[0]
    [found] = [one for one in checks.check(shared, offline=True) if not one.ok]
    assert ("store: driver", 'pip install "mcwatch[postgres]"') == (found.subject, found.remedy)
    assert "pip install" not in found.detail


def test_another_missing_module_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is sent to install what would not help."""
    monkeypatch.delitem(sys.modules, "mcwatch.app.asking", raising=False)
    monkeypatch.setitem(sys.modules, "mcwatch.app.tailing", None)
    with pytest.raises(ImportError, match="tailing"):
        shared_store(_shared(tmp_path))
