"""What several replicas say of themselves, in one report."""

from dataclasses import replace as replace_replica
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from mcwatch.app.fleet import merged
from mcwatch.domain.leasing import Fleet, Lease, Replica
from mcwatch.domain.status import (
    AccountStatus,
    ConfigStatus,
    DestinationStatus,
    SourceStatus,
    StatusReport,
    StoreStatus,
    problems,
)
from tests.unit.httpserver.reports import NOW, quiet_report, troubled_report

A, B, C = (UUID(int=number) for number in (1, 2, 3))
ACME, BETA, GONE = 1, 2, 3
NAMES = {ACME: "acme", BETA: "beta", GONE: "gone"}


def _report(*accounts: str, destination: DestinationStatus | None = None) -> StatusReport:
    return replace(
        quiet_report(),
        accounts=[AccountStatus(name=name, up=True) for name in accounts],
        destinations=[destination or DestinationStatus(name="siem", up=True)],
    )


def _replica(
    key: UUID, report: StatusReport | bytes = b"", *, is_live: bool = True, accounts: frozenset[int] | None = None
) -> Replica:
    return Replica(
        id=key,
        name="abc"[key.int - 1],
        version="1.2.3",
        started_at=NOW - timedelta(hours=key.int),
        silent_secs=0.51 if is_live else 300.0,
        is_live=is_live,
        accounts=accounts if accounts is not None else frozenset({ACME, BETA}),
        report=report if isinstance(report, bytes) else msgspec.json.encode(report),
    )


def _lease(account_id: int, holder: UUID | None, for_secs: float = 10.0) -> Lease:
    return Lease(account_id, NAMES[account_id], holder, epoch=1, for_secs=for_secs)


def test_each_account_is_told_by_its_holder() -> None:
    """What this replica holds it knows itself, by now better than by what it published; the rest is published."""
    fleet = Fleet(
        [_replica(A, _report("beta")), _replica(B, troubled_report("beta"))], [_lease(ACME, A), _lease(BETA, B)]
    )
    report = merged(_report("acme"), fleet, A)
    assert [("acme", "a", True, True), ("beta", "b", False, True)] == [
        (one.name, one.holder, one.up, one.held) for one in report.accounts
    ]
    assert ("a", True, False) == (report.replica, report.live, report.healthy)
    assert [("a", 1, True, 0.5), ("b", 1, True, 0.5)] == [
        (one.name, one.accounts, one.live, one.silent_secs) for one in report.fleet
    ]


def test_an_account_held_by_nobody_needs_attention_after_a_minute() -> None:
    """A hand-over takes seconds, and what the store knows of the account is shown meanwhile."""
    stored = AccountStatus(name="beta", sources=[SourceStatus(name="message_finder", new=7)])
    for secs, expected in ((59.0, []), (61.0, ["account beta"])):
        fleet = Fleet([_replica(A)], [_lease(ACME, A), _lease(BETA, None, secs)])
        report = merged(_report("acme"), fleet, A, [stored])
        assert expected == [one.subject for one in problems(report)]
        assert (not expected) == report.healthy
        beta = report.accounts[1]
        assert ("", False, secs, 7) == (beta.holder, beta.held, beta.unheld_secs, beta.sources[0].new)


def test_an_account_that_is_gone_is_not_shown_while_somebody_delivers_it() -> None:
    """As with one process: it is configured nowhere; held by nobody, it is somebody's business again."""
    held = Fleet([_replica(A)], [_lease(ACME, A), _lease(GONE, A)])
    assert ["acme"] == [one.name for one in merged(_report("acme"), held, A).accounts]
    unheld = Fleet([_replica(A)], [_lease(ACME, A), _lease(GONE, None, 90.0)])
    assert ["account gone"] == [one.subject for one in problems(merged(_report("acme"), unheld, A))]


def test_a_destination_is_as_the_worst_replica_sees_it() -> None:
    """Named, with the figures of the store as this process has read them, and the batches of all under way."""
    well = DestinationStatus(name="siem", up=True, delivered=10, unacknowledged=2)
    bad = DestinationStatus(
        name="siem", up=False, reason="refused", remedy="look", last_error="refused", last_error_at=NOW,
        delivered=9, unacknowledged=1,
    )  # fmt: skip
    fleet = Fleet([_replica(A), _replica(B, _report(destination=bad)), _replica(C, _report(destination=bad))])
    [one] = merged(_report(destination=well), fleet, A).destinations
    assert (False, "on replicas b, c: refused", "look", 10, 4) == (
        one.up,
        one.reason,
        one.remedy,
        one.delivered,
        one.unacknowledged,
    )
    assert ("on replicas b, c: refused", NOW) == (one.last_error, one.last_error_at)


def test_what_one_replica_has_tried_counts_more_than_what_another_has_not() -> None:
    """And a single replica needs no name."""
    untried, up = DestinationStatus(name="siem"), DestinationStatus(name="siem", up=True)
    fleet = Fleet([_replica(A), _replica(B, _report(destination=up))])
    assert [True] == [one.up for one in merged(_report(destination=untried), fleet, A).destinations]
    down = DestinationStatus(name="siem", up=False, reason="refused")
    alone = merged(_report(destination=down), Fleet([_replica(A)]), A)
    assert ["refused"] == [one.reason for one in alone.destinations]


def test_the_command_line_tells_what_live_replicas_published() -> None:
    """Stored figures are its own; it lives as long as any replica, and is as old as the oldest."""
    offline = replace(
        quiet_report(),
        live=False,
        healthy=False,
        started_at=None,
        uptime_secs=None,
        accounts=[AccountStatus(name="acme"), AccountStatus(name="beta")],
        destinations=[DestinationStatus(name="siem", delivered=5), DestinationStatus(name="former")],
    )
    published = replace(_report("acme", "beta"), started_at=NOW - timedelta(hours=2), uptime_secs=7190.0)
    fleet = Fleet([_replica(B, published), _replica(C, is_live=False)], [_lease(ACME, B), _lease(BETA, B)])
    report = merged(offline, fleet)
    assert (True, True, "", 7200.0) == (report.live, report.healthy, report.replica, report.uptime_secs)
    assert [True, True] == [one.up for one in report.accounts]
    assert [("siem", True, 5)] == [(one.name, one.up, one.delivered) for one in report.destinations]
    assert [("b", True), ("c", False)] == [(one.name, one.live) for one in report.fleet]


def test_without_a_live_replica_the_store_alone_speaks() -> None:
    """Everything it knows is shown, nothing is claimed, and no account is complained of one by one."""
    offline = replace(_report("acme", "beta"), live=False, healthy=False, started_at=None, uptime_secs=None)
    fleet = Fleet([_replica(C, _report("acme"), is_live=False)], [_lease(ACME, None, 300.0), _lease(BETA, None, 300.0)])
    report = merged(offline, fleet)
    assert (False, False) == (report.live, report.healthy)
    assert [] == problems(report)
    assert [("acme", False), ("beta", False)] == [(one.name, one.held) for one in report.accounts]


def test_a_report_of_another_version_is_read_as_far_as_it_goes() -> None:
    """Fields that are unknown here are passed over, and those it lacks have their defaults."""
    newer = {
        "version": "9",
        "live": True,
        "healthy": True,
        "at": NOW,
        "mood": "fine",
        "accounts": [{"name": "acme", "up": True, "shoe_size": 43}],
        "destinations": [{"name": "siem"}],
    }
    fleet = Fleet([_replica(B, msgspec.json.encode(newer))], [_lease(ACME, B)])
    report = merged(replace(_report(), live=False), fleet)
    assert [("acme", "b", True)] == [(one.name, one.holder, one.up) for one in report.accounts]
    assert [] == problems(report)


def test_a_report_that_cannot_be_read_is_left_out_and_said() -> None:
    """Whose it is, and what to do; one that was never published is not one that cannot be read."""
    for published, expected in ((b'{"version": 2}', ["replica b"]), (b"\xff", ["replica b"]), (b"", [])):
        fleet = Fleet([_replica(A), _replica(B, published)], [_lease(ACME, A), _lease(BETA, B)])
        report = merged(_report("acme"), fleet, A)
        assert expected == [one.subject for one in problems(report)]
        assert [True, None] == [one.up for one in report.accounts]
        assert "b" == report.accounts[1].holder


def test_a_failed_reload_of_any_replica_is_said() -> None:
    """It holds its accounts by another configuration than it should."""
    config = ConfigStatus(file="mcwatch.yaml", loaded_at=NOW, failed_at=NOW, error="line 3: no")
    fleet = Fleet([_replica(A, replace(_report(), config=config)), _replica(B, replace(_report(), config=config))])
    own = replace(_report(), config=config)
    assert ["configuration", "replica b"] == [one.subject for one in problems(merged(own, fleet, A))]


def test_polling_pauses_where_any_replica_pauses() -> None:
    """Each reason once."""
    paused = replace(_report(), store=StoreStatus(paused=["backlog"]))
    fleet = Fleet([_replica(A), _replica(B, paused), _replica(C, paused)])
    assert ["backlog"] == merged(_report(), fleet, A).store.paused


def test_what_a_replica_that_ends_still_holds_is_shown() -> None:
    """It is configured with nothing any more, so that others do not wait for it, and delivers to the end."""
    ending = [_replica(A, _report("acme"), accounts=frozenset()), _replica(B, _report("beta"), accounts=frozenset())]
    fleet = Fleet(ending, [_lease(ACME, A), _lease(BETA, B), _lease(GONE, B)])
    assert ["acme", "beta"] == [one.name for one in merged(_report("acme"), fleet, A).accounts]


def _read(at: datetime | None, new: int) -> list[SourceStatus]:
    return [SourceStatus(name="message_finder", last_success_at=at, up=None if at is None else True, new=new)]


def test_the_last_success_of_a_former_holder_stands_until_the_holder_has_one() -> None:
    """The newest that any replica published, lost ones too; that it works here nobody claims."""
    early, late = NOW - timedelta(seconds=90), NOW - timedelta(seconds=30)
    former = [
        replace(_report(), accounts=[AccountStatus(name="acme", up=True, sources=_read(at, new=4))])
        for at in (late, early)
    ]
    fleet = Fleet(
        [_replica(A), *(_replica(key, one, is_live=False) for key, one in zip((B, C), former, strict=True))],
        [_lease(ACME, A)],
    )
    for sources, expected in (
        (_read(None, new=5), (None, late, 5)),
        (_read(NOW, new=6), (True, NOW, 6)),
        ([], (None, late, 4)),
    ):
        own = replace(_report(), accounts=[AccountStatus(name="acme", sources=sources)])
        [account] = merged(own, fleet, A).accounts
        [source] = account.sources
        assert ("a", None) == (account.holder, account.up)
        assert expected == (source.up, source.last_success_at, source.new)


def test_what_is_configured_nowhere_is_counted_apart() -> None:
    """So that the replicas' accounts are together as many as are shown."""
    fleet = Fleet([_replica(A), _replica(B, _report("beta"))], [_lease(ACME, A), _lease(GONE, A), _lease(BETA, B)])
    report = merged(_report("acme"), fleet, A)
    assert [(1, 1), (1, 0)] == [(one.accounts, one.unconfigured) for one in report.fleet]
    assert sum(one.accounts for one in report.fleet) == len(report.accounts)


def test_a_lost_replica_is_not_shown_beside_a_live_one_of_its_name() -> None:
    """A pod that was restarted keeps its name; of several lost ones of a name the one last heard of is shown."""
    one = _replica(A)
    restarted = [replace_replica(one, id=UUID(int=9), is_live=False, silent_secs=40.0)]
    gone = [
        replace_replica(_replica(key, is_live=False), name="x", silent_secs=secs) for key, secs in ((B, 90.0), (C, 9.0))
    ]
    report = merged(_report(), Fleet([*restarted, one, *gone]), A)
    assert [("a", True, 0.5), ("x", False, 9.0)] == [(one.name, one.live, one.silent_secs) for one in report.fleet]


def test_live_replicas_of_one_name_are_told_apart_and_a_problem() -> None:
    """Except for a moment after a kill, when the one killed still counts as live beside the one started instead."""
    first, second = (UUID(f"{start}-0000-4000-8000-000000000000") for start in ("aaaa1111", "bbbb2222"))
    names = ["node-3 (aaaa1111)", "node-3 (bbbb2222)"]
    for started_secs_ago, silent_secs, expected in ((60.0, 2.0, [*map("replica {}".format, names)]), (5.0, 7.0, [])):
        fleet = Fleet(
            [
                replace_replica(_replica(A), id=first, name="node-3", silent_secs=silent_secs),
                replace_replica(
                    _replica(A), id=second, name="node-3", started_at=NOW - timedelta(seconds=started_secs_ago)
                ),
            ],
            [_lease(ACME, first), _lease(BETA, second)],
        )
        report = merged(_report("acme"), fleet, first)
        assert (names, names[0]) == ([one.name for one in report.fleet], report.replica)
        assert names == [one.holder for one in report.accounts]
        assert expected == [one.subject for one in problems(report)]
        assert {("two replicas are called node-3", "give each its own lease.replica")} >= {
            (one.reason, one.remedy) for one in problems(report)
        }
