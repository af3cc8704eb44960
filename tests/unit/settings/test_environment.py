"""Overrides by the environment."""

from pathlib import Path

import pytest

from mcwatch.settings import load
from mcwatch.settings.environment import ServiceManagerAddress, override_names, service_manager
from tests.unit.settings.files import MINIMAL, loaded, problems, write


def test_override_names() -> None:
    """Every single value outside lists can be overridden, and nothing else."""
    assert sorted(override_names()) == [
        "MCWATCH_ACCOUNTS__DIRECTORY",
        "MCWATCH_HTTP__BASIC_AUTH__PASSWORD",
        "MCWATCH_HTTP__BASIC_AUTH__USERNAME",
        "MCWATCH_HTTP__LISTEN",
        "MCWATCH_HTTP__RELOAD",
        "MCWATCH_HTTP__TLS__CERT_FILE",
        "MCWATCH_HTTP__TLS__KEY_FILE",
        "MCWATCH_LEASE__DURATION",
        "MCWATCH_LEASE__REPLICA",
        "MCWATCH_LOG__FORMAT",
        "MCWATCH_LOG__LEVEL",
        "MCWATCH_STORE__KEEP_DEAD_LETTERS",
        "MCWATCH_STORE__KEEP_DELIVERED",
        "MCWATCH_STORE__KEEP_FINGERPRINTS",
        "MCWATCH_STORE__MAX_BACKLOG",
        "MCWATCH_STORE__MAX_DEAD_LETTERS",
        "MCWATCH_STORE__RESERVE",
        "MCWATCH_STORE__URL",
    ]


def test_precedence(tmp_path: Path) -> None:
    """The environment beats the file, the file beats the defaults, section by section and key by key."""
    text = MINIMAL + "store: {url: 'sqlite:///a.db', max_backlog: 1GiB}\nlog: {level: error}\n"
    settings = loaded(tmp_path, text, {"MCWATCH_STORE__URL": "sqlite:////b.db", "MCWATCH_HTTP__LISTEN": "[::1]:80"})
    assert settings.store.url.reveal() == "sqlite:////b.db"
    assert settings.store.max_backlog == 2**30
    assert settings.store.keep_delivered == 86400
    assert (settings.log.level, settings.http.listen) == ("error", "[::1]:80")


def test_override_repairs_the_file(tmp_path: Path) -> None:
    """A wrong or unset value of the file does not matter where the environment overrides it."""
    text = MINIMAL + "store: {url: {env: UNSET}, max_backlog: lots}\n"
    environ = {"MCWATCH_STORE__URL": "sqlite:///c.db", "MCWATCH_STORE__MAX_BACKLOG": "5MiB"}
    assert loaded(tmp_path, text, environ).store.max_backlog == 5 * 2**20


def test_wrong_override(tmp_path: Path) -> None:
    """A wrong override is reported under the variable's name, a secret one without its value."""
    environ = {"MCWATCH_STORE__RESERVE": "a bit", "MCWATCH_STORE__URL": "mysql://root:hush@db"}
    url, reserve = problems(tmp_path, MINIMAL, environ)
    assert url.startswith("environment: MCWATCH_STORE__URL: write sqlite:///path for a path")
    assert "hush" not in url
    assert reserve == "environment: MCWATCH_STORE__RESERVE: write a size such as 512KiB, 1MiB or 2GiB (value 'a bit')"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MCWATCH_STORE__URI", "did you mean MCWATCH_STORE__URL?"),
        ("MCWATCH_STORE_URL", "did you mean MCWATCH_STORE__URL?"),
        ("MCWATCH_STORE", "did you mean MCWATCH_STORE__URL?"),
        ("MCWATCH_ACCOUNTS__0__NAME", "did you mean MCWATCH_ACCOUNTS__DIRECTORY?"),
        ("MCWATCH_QQ", "overrides are MCWATCH_ACCOUNTS__DIRECTORY, "),
    ],
)
def test_unknown_override(tmp_path: Path, name: str, hint: str) -> None:
    """A variable that looks like an override and is none is an error with the nearest name."""
    (problem,) = problems(tmp_path, MINIMAL, {name: "hush"})
    assert problem.startswith(f"environment: {name} overrides no key; {hint}")
    assert "hush" not in problem


def test_variables_that_are_no_overrides(tmp_path: Path) -> None:
    """The program's own, the tests', those of Kubernetes service links and those the file refers to are left alone."""
    text = MINIMAL.replace("hush-hush", "{env: MCWATCH_ACME_SECRET}")
    names = [
        "MCWATCH_CONFIG",
        "MCWATCH_REQUIRE_COMPONENTS",
        "MCWATCH_TEST_POSTGRES",
        "MCWATCH_ACME_SECRET",
        "MCWATCH_SERVICE_HOST",
        "MCWATCH_SERVICE_PORT_HTTP",
        "MCWATCH_PORT",
        "MCWATCH_PORT_9640_TCP_ADDR",
        "mcwatch_store__url",
        "PATH",
    ]
    assert loaded(tmp_path, text, dict.fromkeys(names, "x")).store.path == Path("var/mcwatch.db")


def test_process_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment given, that of the process counts."""
    monkeypatch.setenv("MCWATCH_LOG__LEVEL", "debug")
    assert load(write(tmp_path, MINIMAL)).log.level == "debug"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"NOTIFY_SOCKET": "/run/n"}, ServiceManagerAddress("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "90000000"}, ServiceManagerAddress("@n", 90.0)),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"}, ServiceManagerAddress("@n", 1.5)),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"}, ServiceManagerAddress("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, ServiceManagerAddress("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, ServiceManagerAddress("@n")),
    ],
)
def test_service_manager(environ: dict[str, str], expected: ServiceManagerAddress | None) -> None:
    """The service manager is where the environment says, and its watchdog counts only for the process it names."""
    assert expected == service_manager(environ, pid=7)
