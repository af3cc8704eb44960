"""Keys that expire and are refreshed: the rules in virtual time, and the client against the simulator's logins."""

import asyncio
import base64
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mcwatch.domain.errors import AuthError, McwatchError, TransientError
from mcwatch.mimecast.binding import Binding, Keys, read_login
from mcwatch.mimecast.config import HmacConfig
from mcwatch.mimecast.endpoints import Endpoint
from mcwatch.mimecast.errors import BindingExpired
from mcwatch.option_types import Secret
from mcwatch.simulator import AccountConfig, Fault, SimulatorConfig
from tests.fakes.clock import FakeClock
from tests.unit.mimecast.world import DEMO, FOUND, HMAC, World, run

FINDER, QUEUE = Endpoint.MESSAGE_FINDER, Endpoint.PROCESSING_QUEUE
USER = {"user_name": DEMO.user_name, "password": DEMO.password}
REFUSED = BindingExpired("expired")
OLD = Keys("old", base64.b64encode(b"old").decode())
NEW = Keys("new", base64.b64encode(b"new").decode())


class Logins:
    """Answers logins from a script."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Keys]] = []
        self.answers: list[Keys | McwatchError | None] = []
        self.gate: asyncio.Event | None = None

    async def log_in(self, user_name: str, password: str, old: Keys) -> Keys | None:
        """Answer one login."""
        self.asked.append((user_name, password, old))
        if self.gate:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, McwatchError):
            raise answer
        return answer


class Bench:
    """A binding, its logins and the time."""

    def __init__(self, *, user: bool = True, **secrets: Secret) -> None:
        self.clock = FakeClock()
        self.logins = Logins()
        keys = {
            "app_id": Secret("a"),
            "app_key": Secret("b"),
            "access_key": Secret(OLD.access),
            "secret_key": Secret(OLD.secret),
            **({"user_name": Secret("svc"), "password": Secret("hunter2")} if user else {}),
            **secrets,
        }
        self.binding = Binding(HmacConfig(type="hmac", **keys), self.logins.log_in, self.clock)

    async def renew(self) -> None:
        """Renew as a caller does whose request has just been refused."""
        await self.binding.renew(self.binding.renewals, REFUSED)


async def test_without_a_user_the_refusal_stands() -> None:
    """Nobody can log in without credentials."""
    bench = Bench(user=False)
    with pytest.raises(BindingExpired) as caught:
        await bench.renew()
    assert (REFUSED, []) == (caught.value, bench.logins.asked)


@pytest.mark.parametrize(("answer", "expected"), [(None, OLD), (OLD, OLD), (NEW, NEW)])
async def test_a_login_keeps_or_replaces_the_keys(answer: Keys | None, expected: Keys) -> None:
    """The old access key is named; what is answered signs from then on, and without an answer the old keys do."""
    bench = Bench()
    bench.logins.answers = [answer]
    await bench.renew()
    assert ([("svc", "hunter2", OLD)], expected) == (bench.logins.asked, bench.binding.keys())


async def test_all_callers_share_one_login() -> None:
    """However many requests are refused together, there is one login, and all go on after it."""
    bench = Bench()
    bench.logins.gate = asyncio.Event()
    seen = bench.binding.renewals
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(bench.binding.renew(seen, REFUSED))
        await asyncio.sleep(0)
        bench.logins.gate.set()
    assert (1, 1) == (len(bench.logins.asked), bench.binding.renewals)


async def test_all_callers_share_a_failed_login() -> None:
    """A refused login is one login too, and every caller gets its error."""
    bench = Bench()
    bench.logins.gate = asyncio.Event()
    bench.logins.answers = [AuthError("no")]
    tasks = [asyncio.create_task(bench.renew()) for _ in range(5)]
    await asyncio.sleep(0)
    bench.logins.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {BindingExpired} == {type(result) for result in results}
    assert 1 == len(bench.logins.asked)


@pytest.mark.parametrize("answer", [None, AuthError("no"), TransientError("away")])
async def test_logins_are_ten_minutes_apart(answer: McwatchError | None) -> None:
    """However a login ends, the next comes no sooner than 10 minutes later; meanwhile the reason stays known."""
    bench = Bench()
    bench.logins.answers = [answer]
    if answer is None:
        await bench.renew()
    for _ in range(5):
        with pytest.raises(BindingExpired) as caught:
            await bench.renew()
        assert (str(answer) if answer else "expired") in str(caught.value)
        bench.clock.advance(119.0)
    assert 1 == len(bench.logins.asked)
    bench.clock.advance(5.0)
    await bench.renew()
    assert 2 == len(bench.logins.asked)


async def test_a_failed_login_takes_the_account_down_and_says_what_to_do() -> None:
    """Even a failure that may pass is no reason to repeat the call at once; both ways out are named, no secret is."""
    bench = Bench()
    bench.logins.answers = [TransientError("login: the API failed (HTTP 503)")]
    with pytest.raises(AuthError) as caught:
        await bench.renew()
    assert "login: the API failed" in str(caught.value)
    for word in ("user_name", "password", "user_auth", "new keys", "never expires"):
        assert word in caught.value.remedy
    assert "hunter2" not in str(caught.value) + caught.value.remedy


async def test_keys_changed_by_the_operator_win(tmp_path: Path) -> None:
    """Configured keys that change after a login take the place of those it granted."""
    path = tmp_path / "access"
    path.write_text("old\n")
    bench = Bench(access_key=Secret(path=path))
    bench.logins.answers = [NEW]
    await bench.renew()
    assert NEW == bench.binding.keys()
    path.unlink()
    path.write_text("made anew\n")
    assert Keys("made anew", OLD.secret) == bench.binding.keys()


async def test_a_password_that_cannot_be_read_costs_no_login(tmp_path: Path) -> None:
    """A missing file is named, and when it is back the login is made at once."""
    path = tmp_path / "password"
    bench = Bench(password=Secret(path=path))
    with pytest.raises(AuthError, match="password"):
        await bench.renew()
    path.write_text("hunter2")
    await bench.renew()
    assert 1 == len(bench.logins.asked)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"meta":{"status":200},"data":[{"accessKey":"n","secretKey":"bmV3","duration":1}]}', Keys("n", "bmV3")),
        (b'{"meta":{"status":200},"data":[{"accessKey":"n","secretKey":"not base64!"}]}', None),
        (b'{"meta":{"status":200},"data":[{"accessKey":"n"}]}', None),
        (b'{"meta":{"status":200},"data":[{"accessKey":7,"secretKey":[]}]}', None),
        (b'{"meta":{"status":200},"data":[]}', None),
    ],
)
def test_what_a_login_answers(body: bytes, expected: Keys | None) -> None:
    """Only a pair of keys that can sign replaces what is stored."""
    assert expected == read_login(body, "login")


async def search(world: World) -> None:
    """Make one call."""
    await world.client.call(FINDER, world.search(), FOUND)


@pytest.mark.parametrize("new_keys", [False, True])
async def test_an_expired_binding_is_refreshed_and_the_call_repeated(new_keys: bool) -> None:
    """With user credentials a binding that expires costs one refused request, one login and no failed call."""
    account = AccountConfig(new_keys_at_login=new_keys)
    async with run({**HMAC, **USER}, SimulatorConfig(accounts=(account,), mails_per_minute=0.0)) as world:
        await search(world)
        world.simulator.expire_binding()
        with capture_logs() as logs:
            await search(world)
        await search(world)
        requests, statuses = world.simulator.stats.requests, world.simulator.stats.statuses
    assert (4, 1, 1) == (requests["finder"], requests["login"], statuses[418])
    assert [("binding_refreshed", "acme")] == [
        (log["event"], log["account"]) for log in logs if log["log_level"] != "debug"
    ]
    assert not any(secret in repr(logs) for secret in (DEMO.access_key, DEMO.secret_key, DEMO.password, DEMO.user_name))


async def test_callers_that_meet_the_expiry_together_cost_one_login() -> None:
    """Queue and finder refused at once share the login."""
    async with run({**HMAC, **USER}, SimulatorConfig.quiet()) as world:
        world.simulator.expire_binding()
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(search(world))
                group.create_task(world.client.call(QUEUE, {"type": "processing"}, FOUND))
        assert 1 == world.simulator.stats.requests["login"]


async def test_a_binding_of_an_hour_is_refreshed_every_hour() -> None:
    """A day of calls costs a login an hour, and none fails."""
    accounts = (AccountConfig(binding_secs=3600.0),)
    async with run({**HMAC, **USER}, SimulatorConfig(accounts=accounts, mails_per_minute=0.0)) as world:
        for _ in range(24 * 6):
            await search(world)
            world.clock.advance(600.0)
        assert 23 == world.simulator.stats.requests["login"]


async def test_a_wrong_password_is_tried_once_in_ten_minutes() -> None:
    """The login's refusal comes out as the account's, without a repetition and without the password."""
    auth = {**HMAC, **USER, "password": "hunter2"}
    async with run(auth, SimulatorConfig.quiet()) as world:
        world.simulator.expire_binding()
        for _ in range(4):
            with pytest.raises(BindingExpired):
                await search(world)
            world.clock.advance(60.0)
        with pytest.raises(BindingExpired) as caught:
            await search(world)
        assert (5, 1) == (world.simulator.stats.requests["finder"], world.simulator.stats.requests["login"])
    assert "HTTP 401" in str(caught.value)
    assert "user_name, password and user_auth" in caught.value.remedy
    assert "hunter2" not in str(caught.value) + caught.value.remedy


async def test_a_login_that_stumbles_is_tried_again_later() -> None:
    """A failing platform is no reason to log in again and again; ten minutes later the account comes back by itself."""
    async with run({**HMAC, **USER}, SimulatorConfig.quiet()) as world:
        world.simulator.expire_binding()
        world.simulator.script(Fault("error_html", endpoint="login"))
        with pytest.raises(BindingExpired, match="HTTP 503"):
            await search(world)
        world.clock.advance(601.0)
        await search(world)
        assert 2 == world.simulator.stats.requests["login"]


async def test_a_binding_that_stays_expired_ends_the_call() -> None:
    """When the API goes on to say 418 after the login, that is the answer, and nothing is repeated."""
    async with run({**HMAC, **USER}, SimulatorConfig.quiet()) as world:
        world.simulator.script(Fault("binding", times=9, endpoint="finder"))
        with pytest.raises(BindingExpired):
            await search(world)
        assert (2, 1) == (world.simulator.stats.requests["finder"], world.simulator.stats.requests["login"])


async def test_without_credentials_418_names_both_ways_out() -> None:
    """One request, and a remedy that names new keys and the user's password."""
    async with run(HMAC, SimulatorConfig.quiet()) as world:
        world.simulator.expire_binding()
        with pytest.raises(BindingExpired) as caught:
            await search(world)
        assert (1, 0) == (world.simulator.stats.requests["finder"], world.simulator.stats.requests["login"])
    for word in ("never expires", "auth.user_name", "auth.password"):
        assert word in caught.value.remedy
