"""What holds for every test: no network but loopback, a clean environment, a time limit, counterparts on request."""

import gc
import os
import shutil
import signal
import socket
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest
import structlog
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

_TESTS = Path(__file__).parent
_SECS = {"integration": 60, "acceptance": 180}
"""Time limits of the directories whose tests start real programs; the others keep the limit of pyproject.toml."""
_LONG_SECS = 3600
_REQUIRE = "MCWATCH_REQUIRE_COMPONENTS"
_real_getaddrinfo = socket.getaddrinfo

# How long an example takes says nothing on a busy machine; the time limit of the whole test stands.
hypothesis.settings.register_profile(
    "mcwatch",
    deadline=None,
    max_examples=40,  # of hundreds of properties, so that all quick tests stay under a minute
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.load_profile("mcwatch")

# Whoever starts the tests in the background has SIGINT ignored, and so would every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tracebacks of structlog's own make, with colours and variables, take a tenth of a second each.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search for no garbage while thousands of tests are made, and never among them: that saves seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests and limit their time by directory; leave the long ones out unless they are asked for."""
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        directory = item.path.relative_to(_TESTS).parts[0]
        long = item.get_closest_marker("long") is not None
        if directory in _SECS:
            item.add_marker(directory)
        if not any(item.iter_markers("timeout")) and (long or directory in _SECS):
            item.add_marker(pytest.mark.timeout(_LONG_SECS if long else _SECS[directory]))
        asked_for = "long" in config.getoption("markexpr") or any(item.nodeid in arg for arg in config.args)
        (left_out if long and not asked_for else chosen).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


@pytest.fixture(scope="session", autouse=True)
def _warm_hypothesis() -> None:
    """Let hypothesis build its table of characters, which takes a new clone over a second, outside any test's time."""
    hypothesis.find(st.text(), lambda _: True, settings=hypothesis.settings(database=None))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the developer's shell reach the code under test."""
    for name in [name for name in os.environ if name.startswith("MCWATCH_") and name != _REQUIRE]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def _loopback_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve no name but localhost, so that a test behaves the same with and without a network.

    Connections elsewhere are refused by pytest-socket; it lets DNS pass.
    """

    def resolve(host: str | bytes | None, *args: object, **kwargs: object) -> object:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        numeric = name is None or name == "" or ":" in name or name.replace(".", "").isdigit()
        if numeric or name == "localhost":
            return _real_getaddrinfo(host, *args, **kwargs)  # type: ignore[arg-type]  # passed through as it came
        raise socket.gaierror(socket.EAI_NONAME, f"tests resolve no names (asked for {name!r})")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Give a metrics registry that no other test has touched."""
    return CollectorRegistry(auto_describe=True)


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], Path]:
    """Find a real counterpart; without it skip the test, or fail it where MCWATCH_REQUIRE_COMPONENTS is set (CI)."""

    def find(program: str) -> Path:
        # Daemons live in directories that are not on everybody's PATH.
        places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
        found = shutil.which(program, path=places)
        if found:
            return Path(found)
        text = f"{program} is not installed (tests/system-packages.txt; `make test` installs it where it may)"
        if os.environ.get(_REQUIRE):
            pytest.fail(text)
        pytest.skip(text)

    return find
