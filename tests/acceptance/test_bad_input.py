"""What cannot work is refused at the start: exit code, one line per problem, what to do, nothing secret."""

import socket
import sqlite3
from pathlib import Path

import pytest

from mcwatch.simulator import Simulator
from tests.acceptance import configuration
from tests.acceptance.configuration import Config
from tests.acceptance.daemon import CONFIG, Daemon, Finished, run_command, write_config
from tests.acceptance.waiting import eventually

_SECRET = "hunter2-7c1f"
_GOOD = f"""\
accounts:
  - name: acme
    api:
      base_url: http://127.0.0.1:9
      auth: {{type: oauth2, client_id: me, client_secret: {_SECRET}}}
    sources:
      - type: processing_queue
destinations:
  - name: console
    sink: {{type: stdout}}
"""


async def refused(place: Path, *, code: int = 78) -> Finished:
    """Run the daemon, see it refuse to start, and check what holds for every refusal."""
    done = await run_command(place, "run", "-c", CONFIG)
    assert code == done.code, done.stderr
    assert "Traceback" not in done.stderr
    assert _SECRET not in done.stderr
    assert "" == done.stdout
    assert done.complaints
    return done


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        pytest.param("type: processing_queue", "type: [", 9, ["not valid YAML", "check"], id="not_yaml"),
        pytest.param(
            "    sources:", "      max_requests_per_minute: many\n    sources:", 6,
            ["accounts[0].api.max_requests_per_minute", "whole number", "'many'"], id="wrong_type",
        ),
        pytest.param(
            "    sources:", "      request_timeout: 5 parsecs\n    sources:", 6,
            ["accounts[0].api.request_timeout", "'5 parsecs'", "such as 30s"], id="no_duration",
        ),
        pytest.param(
            "type: processing_queue", "type: processing_queue\n        intervall: 5s", 8,
            ["accounts[0].sources[0].intervall", "unknown key", "did you mean interval?"], id="unknown_key",
        ),
        pytest.param(
            "type: processing_queue", "type: procesing_queue", 7,
            ["accounts[0].sources[0]", "procesing_queue", "did you mean processing_queue?"], id="unknown_type",
        ),
        pytest.param(
            f"client_secret: {_SECRET}", "client_secret: {env: ACME_SECRET}", 5,
            ["accounts[0].api.auth.client_secret", "ACME_SECRET is not set", "set it"], id="no_variable",
        ),
        pytest.param(
            f"client_secret: {_SECRET}", "client_secret: {file: secrets/acme}", 5,
            ["accounts[0].api.auth.client_secret", "secrets/acme cannot be read", "No such file", "check the path"],
            id="no_secret_file",
        ),
        pytest.param(
            "    sink: {type: stdout}", "    sink: {type: stdout}\n  - name: console\n    sink: {type: stdout}", 11,
            ["destinations[1].name", "named console already", "must differ"], id="one_name_twice",
        ),
        pytest.param(
            "http://127.0.0.1:9", "http://api.example", 4,
            ["accounts[0].api.base_url", "write https://"], id="secret_in_clear",
        ),
        pytest.param(
            "destinations:", "http: {listen: nowhere}\ndestinations:", 8,
            ["http.listen", "'nowhere'", "host:port"], id="no_address",
        ),
    ],
)  # fmt: skip
async def test_a_fault_in_the_file_is_named_by_line_key_value_and_remedy(
    place: Path, old: str, new: str, line: int, said: list[str]
) -> None:
    """A file that cannot be used ends with 78 and one line that says where, what, and what to do."""
    assert old in _GOOD
    write_config(place, _GOOD.replace(old, new, 1))
    done = await refused(place)
    assert 1 == len(done.stderr.splitlines()), done.stderr
    [complaint] = done.complaints
    assert complaint.startswith(f"mcwatch: {CONFIG}:{line}:"), complaint
    for part in said:
        assert part in complaint


async def test_a_missing_file_is_named(place: Path) -> None:
    """Without the file the message names it and the option."""
    [complaint] = (await refused(place)).complaints
    assert f"mcwatch: {CONFIG}: there is no such file; name the right one with --config" == complaint


async def test_a_directory_is_no_file(place: Path) -> None:
    """A directory in the file's place is told from a missing file."""
    (place / CONFIG).mkdir()
    [complaint] = (await refused(place)).complaints
    assert f"mcwatch: {CONFIG}: this is a directory; name the file in it" == complaint


async def test_an_empty_file_is_named(place: Path) -> None:
    """An empty file is not taken for a configuration."""
    write_config(place, "")
    [complaint] = (await refused(place)).complaints
    assert f"{CONFIG}: the file is empty" in complaint


async def test_several_faults_are_all_told(place: Path) -> None:
    """Whoever writes a file sees all of its faults at once, in their order, one line each."""
    faulty = (
        _GOOD.replace(f"client_secret: {_SECRET}", "client_secret: {env: ACME_SECRET}")
        .replace("type: processing_queue", "type: processing_queue\n        interval: soon")
        .replace("type: stdout", "type: stdout, colour: red")
    )
    write_config(place, f"log: {{level: loud}}\n{faulty}")
    done = await refused(place)
    places = [complaint.split(":")[2:4] for complaint in done.complaints]
    assert [
        ["1", " log.level"],
        ["6", " accounts[0].api.auth.client_secret"],
        ["9", " accounts[0].sources[0].interval"],
        ["12", " destinations[0].sink.colour"],
    ] == places, done.stderr
    assert len(done.complaints) == len(done.stderr.splitlines())


async def test_a_wrong_variable_is_named_by_its_name(place: Path) -> None:
    """An override from the environment is blamed itself, not the file."""
    write_config(place, _GOOD)
    done = await run_command(place, "run", "-c", CONFIG, env={"MCWATCH_LOG__LEVEL": "loud"})
    assert 78 == done.code
    [complaint] = done.complaints
    assert "environment: MCWATCH_LOG__LEVEL" in complaint
    assert "'loud'" in complaint


async def test_a_port_in_use_is_named(place: Path) -> None:
    """A taken port names the option, the address and the remedy, and ends with 1: it may be free in a moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_config(place, f'http: {{listen: "127.0.0.1:{port}"}}\n{_GOOD}')
        done = await refused(place, code=1)
    complaint, remedy = done.complaints
    assert f"http.listen: cannot listen on 127.0.0.1:{port}: Address already in use" in complaint
    assert "stop it, or give this mcwatch another port" in remedy


async def test_a_store_in_a_place_that_is_no_directory_is_named(place: Path) -> None:
    """A store that cannot be made ends with 1 and names path, reason and remedy."""
    (place / "var").write_text("a file")
    write_config(place, _GOOD)
    done = await refused(place, code=1)
    assert "the store var/mcwatch.db cannot be opened" in done.complaints[0]
    assert "check store.url" in done.complaints[1]


async def test_a_store_in_use_names_the_process(place: Path, simulator: Simulator) -> None:
    """A second daemon on the same file is refused, with the first one's process id, and the first goes on."""
    config = _config(simulator)
    async with Daemon(place, config) as first:
        done = await refused(place, code=1)
        assert f"is in use by another mcwatch (process {first.pid})" in done.complaints[0]
        assert "stop the other process" in done.complaints[1]
        assert (await first.get("/healthz")).status == 200


async def test_a_damaged_store_is_left_as_it_is(place: Path, simulator: Simulator) -> None:
    """A file that is no database is refused and not changed by a byte."""
    write_config(place, _config(simulator))
    store = place / "mcwatch.db"
    store.write_bytes(b"not a database " * 1000)
    done = await refused(place, code=1)
    # In words of its own for a file that was never a database, or in those for a damaged one.
    assert "mcwatch.db is " in done.complaints[0]
    assert "it was left as it is" in done.complaints[1]
    assert b"not a database " * 1000 == store.read_bytes()


async def test_a_store_with_broken_pages_is_left_as_it_is(place: Path, simulator: Simulator) -> None:
    """A store whose pages behind the first are overwritten is refused and not changed by a byte."""
    config = _config(simulator)
    simulator.add_mail(count=50)
    async with Daemon(place, config) as daemon:
        await eventually(lambda: daemon.find("batch_delivered"))
        assert 0 == await daemon.stop()
    store = place / "mcwatch.db"
    whole = store.read_bytes()
    before = whole[:8192] + b"\xa5" * (len(whole) - 8192)
    store.write_bytes(before)
    done = await refused(place, code=1)
    assert "mcwatch.db is damaged" in done.complaints[0]
    assert "it was left as it is" in done.complaints[1]
    assert before == store.read_bytes()


async def test_a_store_cut_short_is_left_as_it_is(place: Path, simulator: Simulator) -> None:
    """A store of which the end is missing is refused and not changed by a byte."""
    config = _config(simulator)
    async with Daemon(place, config) as daemon:
        assert 0 == await daemon.stop()
    store = place / "mcwatch.db"
    store.write_bytes(store.read_bytes()[:-9000])
    before = store.read_bytes()
    done = await refused(place, code=1)
    assert "the store mcwatch.db is" in done.complaints[0]
    assert "it was left as it is" in done.complaints[1]
    assert before == store.read_bytes()


async def test_a_database_of_another_program_is_left_as_it_is(place: Path, simulator: Simulator) -> None:
    """A database that mcwatch has not made is refused and not changed by a byte."""
    write_config(place, _config(simulator))
    store = place / "mcwatch.db"
    with sqlite3.connect(store) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = store.read_bytes()
    done = await refused(place, code=1)
    assert "mcwatch.db is an SQLite file of another program" in done.complaints[0]
    assert "name a file of its own in store.url" in done.complaints[1]
    assert before == store.read_bytes()


async def test_a_newer_store_is_left_as_it_is(place: Path, simulator: Simulator) -> None:
    """A store of a newer version is refused with both versions named, and not changed by a byte."""
    config = _config(simulator)
    async with Daemon(place, config) as daemon:
        assert 0 == await daemon.stop()
    store = place / "mcwatch.db"
    newer = sqlite3.connect(store)
    newer.execute("PRAGMA user_version=999")
    newer.close()
    before = store.read_bytes()
    done = await refused(place, code=1)
    assert "was written by a newer mcwatch (schema 999, this program knows" in done.complaints[0]
    assert "run the newer mcwatch, or restore a backup" in done.complaints[1]
    assert before == store.read_bytes()


def _config(simulator: Simulator) -> Config:
    return configuration.whole([configuration.account(simulator)], [configuration.file()])
