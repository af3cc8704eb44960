"""kill -9 of a real process in the middle of its commits."""

import signal
import sqlite3
from pathlib import Path

import pytest

from tests.contract.store_kit import events_in
from tests.unit.store.processes import COMMIT, line_of, start
from tests.unit.store.stores import opened


@pytest.mark.timeout(30)
async def test_committed_pages_survive_a_kill(tmp_path: Path) -> None:
    """What was reported as committed is there after kill -9, whole and once; the file is intact, round after round."""
    path = tmp_path / "mcwatch.db"
    reported = -1
    for pages in (1, 40, 170):
        process = await start(COMMIT, path)
        for _ in range(pages):
            reported = max(reported, int(await line_of(process)))
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        rest = (await process.stdout.read()).decode()
        reported = max([reported, *map(int, rest.rpartition("\n")[0].split())])
        await process.wait()
        async with opened(path) as store:
            feed = await store.feed("acme", "message_finder")
            head = store.heads()[feed.account_id]
            read: list[int] = []
            while len(read) < head:
                read += events_in(await store.read(feed.account_id, len(read), 1 << 20))
            assert reported < head
            assert list(range(head)) == read
            assert {"next": b"%d" % head} == (await store.progress(feed)).cursors
            marks = await store.commit_page(feed, lambda page, head=head: page.marks(set(range(head + 10))))  # type: ignore[misc]
            assert {number: number.to_bytes(16) for number in range(head)} == marks
            assert head == (await store.snapshot()).feeds[0].new
        connection = sqlite3.connect(path)
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        connection.close()
