"""The Dockerfile, built for real, and the image run as deploy/compose and deploy/kubernetes run it."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mcwatch import __version__
from tests.acceptance.waiting import eventually
from tests.integration.containers import HARDENED, ROOT, Containers

pytestmark = pytest.mark.timeout(120)

_REVISION = "0123456789abcdef0123456789abcdef01234567"
_DEMO = ROOT / "deploy" / "compose" / "demo"
_SYSLOG = ROOT / "deploy" / "compose" / "syslog"
_ADDED_BYTES = 125_000_000
"""What the image may have beside its base: its dependencies, and nothing that only a build needs."""
_ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture(scope="module")
def containers(require_program: Callable[[str], Path]) -> Iterator[Containers]:
    """A storage for the tests of this file."""
    # podman refuses a path of more than 50 characters, which one of pytest's may have.
    running = Containers(require_program, Path(tempfile.mkdtemp(prefix="mcwatch-")))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def base(containers: Containers) -> str:
    """Debian with Python 3.11."""
    return containers.build_base()


@pytest.fixture(scope="module")
def image(containers: Containers, base: str) -> str:
    """The image of the Dockerfile."""
    arguments = {"BASE_IMAGE": base, "VERSION": __version__, "REVISION": _REVISION}
    return containers.build(ROOT, "localhost/mcwatch", arguments)


async def _run_demo(containers: Containers, image: str, *options: str) -> None:
    """Start the daemon with the demo's configuration and the simulator beside it, as deploy/compose does."""
    # Its own network with nothing but loopback, where the name of the syslog server stands for this host.
    network = ["--network", "none", "--add-host", "syslog:127.0.0.1"]
    volumes = ["--volume", f"{_DEMO}:/etc/mcwatch:ro"]
    await containers.start("demo", image, [*network, *volumes, *options])
    await containers.start("simulator", image, ["--network", "container:demo", *HARDENED], "simulate")


async def _remove(containers: Containers, *names: str) -> None:
    """Remove containers, each after those that use its network."""
    for name in names:
        done = await containers.podman("rm", "--force", "--volumes", "--time", "0", name)
        assert done.returncode == 0, done.stderr


async def _ask(containers: Containers, path: str) -> str:
    """Return what the daemon answers on its HTTP port, asked from beside it; fail while it is not 200."""
    done = await containers.execute("demo", "python3", "-c", _ASK, f"http://127.0.0.1:9640{path}")
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


async def _status(containers: Containers) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(await _ask(containers, "/status"))
    return report


async def _log(containers: Containers) -> str:
    done = await containers.podman("logs", "demo")
    return done.stdout + done.stderr


def test_says_what_it_is(containers: Containers, image: str) -> None:
    """The image's configuration is the contract with whoever runs it: user, command, volume, health check, labels."""
    known = containers.image(image)
    config = known["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["mcwatch"]
    assert config["Cmd"] == ["run", "-c", "/etc/mcwatch/mcwatch.yaml"]
    assert list(config["Volumes"]) == ["/var/lib/mcwatch"]
    assert list(config["ExposedPorts"]) == ["9640/tcp"]
    assert known["Healthcheck"]["Test"] == [
        "CMD",
        "mcwatch",
        "health",
        "-c",
        "/etc/mcwatch/mcwatch.yaml",
    ]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["Labels"]["org.opencontainers.image.revision"] == _REVISION


def test_is_small(containers: Containers, base: str, image: str) -> None:
    """The image adds what mcwatch runs on and little else."""
    size_bytes, base_bytes = (int(containers.image(name)["Size"]) for name in (image, base))
    print(f"image {size_bytes / 1e6:.0f} MB, of which its base {base_bytes / 1e6:.0f} MB")
    assert size_bytes - base_bytes < _ADDED_BYTES


@pytest.mark.parametrize("tool", ["pip", "pip3", "cc", "gcc", "ld", "curl", "wget"])
def test_has_no_tools(containers: Containers, image: str, tool: str) -> None:
    """Nothing that installs, compiles or downloads is left for an intruder to use."""
    done = containers.once(image, "sh", "-c", f"command -v {tool}")
    assert (done.returncode, done.stdout) == (127, "")


@pytest.mark.parametrize("module", ["pip", "ensurepip"])
def test_has_no_installer(containers: Containers, image: str, module: str) -> None:
    """Neither of its Pythons has pip or can make one."""
    for python in ("/opt/mcwatch/bin/python3", "/usr/bin/python3"):
        done = containers.once(image, python, "-m", module, "--version")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"No module named {module}" in done.stderr


def test_is_compiled(containers: Containers, image: str) -> None:
    """Every module of mcwatch and its dependencies has its bytecode, which a read-only file system could not add."""
    script = (
        "import pathlib, importlib.util as u; print([str(p) for p in pathlib.Path('/opt/mcwatch/lib').rglob('*.py') "
        "if not pathlib.Path(u.cache_from_source(p)).exists()])"
    )
    done = containers.once(image, "python3", "-c", script)
    assert done.stdout.strip() == "[]", done.stderr


def test_refuses_another_version(containers: Containers, base: str) -> None:
    """A build that names a version the code does not have fails and says both."""
    with pytest.raises(AssertionError, match=rf"VERSION is 9\.9\.9, the code is {__version__}"):
        containers.build(ROOT, "localhost/other", {"BASE_IMAGE": base, "VERSION": "9.9.9"})


async def test_runs_as_in_compose(containers: Containers, image: str) -> None:
    """As uid 10001 without capabilities on a read-only root it gets ready, is healthy, and as PID 1 ends at SIGTERM."""
    try:
        await _run_demo(containers, image, *HARDENED)
        await eventually(lambda: _ask(containers, "/readyz"), 30.0)
        script = "id -u; id -g; grep -h CapEff /proc/1/status; touch /tmp/x"
        facts = await containers.execute("demo", "sh", "-c", script)
        assert facts.stdout.split() == ["10001", "10001", "CapEff:", "0000000000000000"]
        assert "Read-only file system" in facts.stderr
        await eventually(lambda: _has_events(containers), 30.0)

        health = await containers.podman("healthcheck", "run", "demo")
        assert health.returncode == 0, health.stdout + health.stderr
        table = await containers.execute("demo", "mcwatch", "status")
        assert "demo" in table.stdout, table.stderr

        stopped = await containers.podman("stop", "--time", "40", "demo")
        assert stopped.returncode == 0, stopped.stderr
        state = await containers.state("demo")
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        stopped = await containers.podman("stop", "--time", "40", "simulator")
        assert (await containers.state("simulator"))["ExitCode"] == 0
    finally:
        await _remove(containers, "simulator", "demo")


async def test_writes_nothing_elsewhere(containers: Containers, image: str) -> None:
    """Even where it may, it writes nothing but its volume."""
    try:
        await _run_demo(containers, image, "--cap-drop", "all", "--read-only-tmpfs=false")
        await eventually(lambda: _has_events(containers), 30.0)
        await containers.podman("stop", "--time", "40", "demo")
        changed = (await containers.podman("diff", "demo")).stdout.splitlines()
        # Podman's own: the places where it mounts the configuration, its names and its marks.
        podman = {"/etc", "/etc/mcwatch", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/run"}
        podman |= {"/run/.containerenv", "/run/secrets", "/var", "/var/lib", "/var/lib/mcwatch"}
        assert {line.split(" ", 1)[1] for line in changed} - podman == set()
    finally:
        await _remove(containers, "simulator", "demo")


async def test_bad_configuration_ends_it(containers: Containers, image: str, tmp_path: Path) -> None:
    """A configuration that cannot be used ends the container with 78 and says what to do."""
    (tmp_path / "mcwatch.yaml").write_text("accounts: []\n")
    tmp_path.chmod(0o755)
    try:
        await containers.start("demo", image, [*HARDENED, "--network", "none", "-v", f"{tmp_path}:/etc/mcwatch:ro"])
        await containers.podman("wait", "demo")
        assert (await containers.state("demo"))["ExitCode"] == 78
        assert "/etc/mcwatch/mcwatch.yaml" in await _log(containers)
    finally:
        await _remove(containers, "demo")


async def test_syslog_example_takes_the_events(containers: Containers, base: str, image: str) -> None:
    """The syslog server of deploy/compose, built from its Dockerfile, keeps what the demo sends it."""
    syslog = containers.build(_SYSLOG, "localhost/syslog", {"BASE_IMAGE": base})
    options = ["--network", "container:demo", "--volume", f"{_SYSLOG / 'rsyslog.conf'}:/etc/rsyslog.conf:ro"]
    try:
        await _run_demo(containers, image, *HARDENED)
        await containers.start("syslog", syslog, [*options, *HARDENED])

        async def received() -> subprocess.CompletedProcess[str] | None:
            lines = await containers.execute("syslog", "cat", "/var/log/mimecast/events.log")
            return lines if '"kind":"message.seen"' in lines.stdout else None

        await eventually(received, 45.0)
        healthy = await containers.execute("syslog", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5514")
        assert healthy.returncode == 0, healthy.stderr
    finally:
        await _remove(containers, "syslog", "simulator", "demo")


async def _has_events(containers: Containers) -> bool:
    """Tell whether events have come out on the demo's console."""
    return '"kind":"message.seen"' in await _log(containers)
