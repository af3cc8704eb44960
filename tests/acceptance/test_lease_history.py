"""The history that convicts a replica of writing out of turn does so: each wrong is made here on purpose."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.acceptance.lease_history import LeaseHistory
from tests.acceptance.shared_store import make_schema
from tests.fakes.postgres import database

Session = psycopg.Connection[tuple[object, ...]]

_LAPSE_SECS = 4.2
_APPEND = "INSERT INTO outbox SELECT id, head, 1, 0, 1, '' FROM account"
_TAKE = "UPDATE lease SET holder = %s, epoch = epoch + 1"


@pytest.fixture
def url() -> Iterator[str]:
    """A database with the schema."""
    with database() as fresh:
        make_schema(fresh)
        yield fresh


def _join(session: Session) -> UUID:
    replica = uuid4()
    session.execute("INSERT INTO replica (id, name, version, accounts) VALUES (%s, 'r', '1', '{}')", (replica,))
    return replica


def _port(session: Session) -> int:
    row = session.execute("SELECT inet_client_port()").fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def test_writes_out_of_turn_and_robbed_leases_are_seen(url: str) -> None:
    """A write by another than the holder, and a lease taken from a replica just heard of, fail the checks."""
    ports: dict[int, str] = {}
    history = LeaseHistory(url, lambda port, _at: ports.get(port, ""), _LAPSE_SECS)
    history.watch()
    with psycopg.connect(url, autocommit=True) as a, psycopg.connect(url, autocommit=True) as b:
        ports.update({_port(a): "a1", _port(b): "b1"})
        a.execute("INSERT INTO account (name) VALUES ('acme')")
        a.execute("INSERT INTO lease (account_id) SELECT id FROM account")
        first, second = _join(a), _join(b)
        a.execute(_TAKE, (first,))
        a.execute(_APPEND)
        assert {"a1": 1} == history.shares()
        a.execute("UPDATE replica SET seen_at = seen_at - interval '5 s' WHERE id = %s", (first,))
        assert {"": 1} == history.shares()
        b.execute(_TAKE, (second,))
        history.read()
        history.assert_one_holder()
        history.assert_written_by_holders()
        assert [("a1", 1), ("b1", 2)] == [(reign.life, reign.epoch) for reign in history.reigns()["acme"]]

        a.execute("DELETE FROM outbox")
        a.execute(_APPEND)
        history.read()
        with pytest.raises(AssertionError, match="a1 wrote while b1 held it"):
            history.assert_written_by_holders()

        a.execute(_TAKE, (first,))
        history.read()
        with pytest.raises(AssertionError, match="1 leases changed hands wrongly"):
            history.assert_one_holder()
