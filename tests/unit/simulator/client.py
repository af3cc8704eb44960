"""A small API client for these tests, written apart from mcwatch's own."""

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Any

import aiohttp

from mcwatch.simulator import AccountConfig, Simulator

FINDER = "/api/message-finder/search"
QUEUE = "/api/gateway/find-processing-messages"
DOMAINS = "/api/domain/get-internal-domain"
TO_CORP = {"advancedTrackAndTraceOptions": {"to": "corp.example"}}


class FakeClock:
    """Time that stands still until a test moves it; begins at 2026-01-05T09:30:00Z."""

    def __init__(self) -> None:
        self.now = 1_767_605_400.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Answer:
    """What came back: status, headers, and the body read as JSON where it is JSON."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, content: Any) -> None:  # noqa: ANN401 -- JSON
        self.status = status
        self.headers = headers
        self.body = body
        self.content = content

    @property
    def rows(self) -> list[Any]:
        """The rows of the first data item."""
        data = self.content["data"]
        return next(iter(data[0].values())) if data else []

    @property
    def pagination(self) -> dict[str, Any]:
        """What `meta.pagination` holds."""
        found: dict[str, Any] = self.content["meta"]["pagination"]
        return found

    @property
    def code(self) -> str:
        """The code of the only failure, flat or nested."""
        (failed,) = self.content["fail"]
        if "errors" in failed:
            (failed,) = failed["errors"]
        return str(failed["code"])


class Client:
    """Calls one simulator with a bearer token, or signed."""

    def __init__(self, session: aiohttp.ClientSession, simulator: Simulator) -> None:
        self.session = session
        self.simulator = simulator
        self.token = ""

    async def log_in(self, name: str = "demo") -> None:
        """Fetch a token."""
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": f"{name}-secret"}
        answer = await self.request("POST", "/oauth/token", data=form)
        self.token = answer.content["access_token"]

    async def call(self, path: str, *items: dict[str, Any], **pagination: object) -> Answer:
        """Call with the bearer token."""
        return await self.post(path, {"Authorization": f"Bearer {self.token}"}, items, pagination)

    async def call_signed(self, path: str, *items: dict[str, Any], **headers: str) -> Answer:
        """Call signed for account demo."""
        now = self.simulator.now()
        return await self.post(path, {**signed(path, now), **headers}, items, {})

    async def post(
        self, path: str, headers: dict[str, str], items: tuple[dict[str, Any], ...], pagination: dict[str, object]
    ) -> Answer:
        """Call with the given headers."""
        body = {"meta": {"pagination": pagination}, "data": list(items)}
        return await self.request("POST", path, json=body, headers=headers)

    async def read(self, path: str, item: dict[str, Any]) -> bytes:
        """Call with the bearer token and return the body unread, for it may be no JSON."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.post(self.simulator.url + path, json={"data": [item]}, headers=headers) as response:
            return await response.read()

    async def request(self, method: str, path: str, **options: Any) -> Answer:  # noqa: ANN401 -- aiohttp's options
        """Make any request."""
        async with self.session.request(method, self.simulator.url + path, **options) as response:
            body = await response.read()
            content = await response.json() if body and response.content_type == "application/json" else None
            return Answer(response.status, dict(response.headers), body, content)


def api_time(at: float) -> str:
    """Write a time as requests have it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def signed(path: str, now: float, zone: str = "UTC", name: str = "demo") -> dict[str, str]:
    """Sign a call; an implementation apart from the simulator's."""
    account = AccountConfig(name)
    date = datetime.fromtimestamp(now, UTC).strftime(f"%a, %d %b %Y %H:%M:%S {zone}")
    request_id = str(uuid.uuid4())
    text = ":".join([date, request_id, path, account.app_key])
    digest = hmac.new(base64.b64decode(account.secret_key), text.encode(), hashlib.sha1).digest()
    return {
        "Authorization": f"MC {account.access_key}:{base64.b64encode(digest).decode()}",
        "x-mc-app-id": account.app_id,
        "x-mc-date": date,
        "x-mc-req-id": request_id,
    }
