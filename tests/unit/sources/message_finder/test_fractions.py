"""Durations with fractions of a second, down to the store."""

from datetime import timedelta
from pathlib import Path

from mcwatch.domain.event import FINDER
from mcwatch.domain.window.ranges import merged
from mcwatch.pipeline.cache import LineCache
from mcwatch.pipeline.ingest import Ingest
from mcwatch.store.sqlite import SqliteStore, StoreOptions
from tests.fakes.clock import START
from tests.unit.sources.message_finder.finders import TO
from tests.unit.sources.world import world


async def test_fractions_of_a_second_stay_outside(tmp_path: Path) -> None:
    """Whatever durations say, windows have whole seconds, coverage is one for the store, and nothing is left out."""
    fractions = {
        "interval": "20500ms",
        "overlap": "1500ms",
        "max_window": "61500ms",
        "initial_look_back": "10m500ms",
        "rescans": [{"every": "90500ms", "look_back": "150500ms"}],
    }
    options = StoreOptions(tmp_path / "mcwatch.db", reserve_bytes=0)
    async with world() as simulated, SqliteStore(options, clock=simulated.clock, metrics=simulated.metrics) as store:
        feed = await store.feed("acme", FINDER)
        ingest = Ingest(feed, store, LineCache(1 << 20), clock=simulated.clock, metrics=simulated.metrics)
        source = simulated.finder(**fractions)
        for number in range(8):
            simulated.simulator.add_mail(subject=f"mail {number}", received_ago_secs=1.5)
            async for page in source.poll(await store.progress(feed)):
                await ingest.commit(page)
                spans = [span for found in page.covered.values() for span in found]
                assert all(at.microsecond == 0 for span in spans for at in (span.start, span.end))
            simulated.clock.advance(20.5)
        asked = simulated.windows()
        progress = await store.progress(feed)
        figures = (await store.snapshot()).feeds[0]
    assert all(at.microsecond == 0 for window in asked for at in window)
    (covered,) = merged(span.window for span in progress.coverage[TO])
    assert START - timedelta(seconds=601) == covered.start
    assert START + timedelta(seconds=143) <= covered.end
    assert 8 == figures.new
