"""A connection that is lost while the file of its URL changes."""

import asyncio
import traceback
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from mcwatch.domain.errors import StoreUnavailable
from mcwatch.store.postgres import PostgresOptions, PostgresStore
from mcwatch.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.postgres import database
from tests.integration.postgres.replicas import beat

_LEASE_SECS = 2.0
"""So short that a beat gives up soon."""


async def _complaint(store: PostgresStore, words: str) -> str:
    """Beat until that fails with such words; return all that an error shows."""
    while True:
        try:
            await beat(store)
        except StoreUnavailable as error:
            if words in str(error):
                return "".join(traceback.format_exception(error)) + error.remedy


@pytest.mark.parametrize("password", ["Xk9/zQ7", "Xk9@zQ7", "Xk9?zQ7", "Xk9#zQ7", "1/Xk9@zQ7"])
async def test_file_that_turns_bad_is_waited_out(tmp_path: Path, password: str) -> None:
    """A running store waits for a URL that can be used, shows nothing of the bad one, and goes on with a good one."""
    with database() as url:
        path = tmp_path / "url"
        path.write_text(url)
        options = PostgresOptions(path.read_text, "one", lease_duration_secs=_LEASE_SECS)
        async with asyncio.timeout(10), PostgresStore(options, clock=FakeClock(), metrics=Metrics()) as store:
            await beat(store)
            path.write_text(url.replace("@", f":{password}@"))
            with capture_logs() as logs:
                with psycopg.connect(url) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                shown = await _complaint(store, "address cannot be used")
            path.write_text(url)
            await beat(store)

    assert "@ as %40" in shown
    assert not [part for part in ("Xk9", "zQ7") if part in shown + repr(logs)]
