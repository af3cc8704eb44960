"""Containers without a registry: images built by buildah on a Debian made by debootstrap, run by podman and runc.

buildah runs the steps of a build in a chroot and podman runs runc with cgroups of its own making, because that is what
works as root inside a sandbox: crun refuses a machine with both versions of cgroups, bubblewrap cannot take another
user's number, and podman as it comes asks systemd for the cgroups and the kernel for more open files than it may have.
"""

import ast
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).parents[2]
_CACHE = ROOT / "build" / "container"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
_PACKAGES = "ca-certificates,python3,python3-venv"
_STALE_SECS = 30 * 86400.0
_PIP_OPTIONS = frozenset("index-url extra-index-url trusted-host proxy timeout default-timeout retries".split())
HARDENED = "--read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges".split()
"""What deploy/compose asks of Docker; podman's own scratch directories are taken away, too."""


class Containers:
    """One storage of images and containers; everything in it goes with :meth:`close`."""

    def __init__(self, require_program: Callable[[str], Path], directory: Path) -> None:
        if os.geteuid() != 0:
            _missing("containers are built and run as root here")
        self._debootstrap = require_program("debootstrap")
        storage = ["--root", str(directory / "storage"), "--runroot", str(directory / "run")]
        self._buildah = [str(require_program("buildah")), *storage]
        podman = [str(require_program("podman")), *storage, "--cgroup-manager", "cgroupfs"]
        self._podman = [*podman, "--runtime", str(require_program("runc"))]
        self._directory = directory

    def close(self) -> None:
        """Remove every container and image; end what still runs."""
        self._run([*self._podman, "rm", "--all", "--force", "--time", "0"])
        self._run(["umount", "--lazy", str(self._directory / "storage" / "overlay")])
        shutil.rmtree(self._directory, ignore_errors=True)

    def build_base(self) -> str:
        """Make an image of Debian with Python, from a tar file that is kept for a month; return its name."""
        context = self._directory / "base"
        context.mkdir()
        tar = _CACHE / "bookworm.tar"
        if not tar.exists() or tar.stat().st_mtime < time.time() - _STALE_SECS:
            self._bootstrap(tar)
        (context / "base.tar").hardlink_to(tar) if _same_disk(tar, context) else shutil.copy(tar, context)
        lines = ["FROM scratch", "ADD base.tar /"]
        if certificates := _pip_options().get("cert"):
            # Where the way to the package index is inspected, its authority is trusted, as a company's base image does.
            shutil.copy(certificates, context / "certificates")
            lines.append(f"COPY certificates /{_CERTIFICATES}")
        (context / "Dockerfile").write_text("\n".join([*lines, ""]))
        return self.build(context, "localhost/debian")

    def build(self, context: Path, name: str, arguments: Mapping[str, str] | None = None) -> str:
        """Build the Dockerfile of a directory with the machine's pip configuration; return the image's name."""
        pip_conf = self._directory / "pip.conf"
        options = {key: value for key, value in _pip_options().items() if key in _PIP_OPTIONS}
        options["cert"] = f"/{_CERTIFICATES}"
        pip_conf.write_text("\n".join(["[global]", *(f"{key} = {value}" for key, value in options.items()), ""]))
        words = [*self._buildah, "bud", "--isolation", "chroot", "--format", "docker", "--tag", name]
        words += ["--secret", f"id=pip_conf,src={pip_conf}"]
        for key, value in (arguments or {}).items():
            words += ["--build-arg", f"{key}={value}"]
        done = self._run([*words, str(context)])
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return name

    def image(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return what podman knows of an image."""
        [found] = json.loads(self._output("image", "inspect", name))
        return found

    def once(self, image: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container, without the network, to its end."""
        options = ["--rm", "--network", "none", *HARDENED, *_LIMITS, "--entrypoint", json.dumps(list(command))]
        return self._run([*self._podman, "run", *options, image])

    async def start(self, name: str, image: str, options: Sequence[str], *arguments: str) -> None:
        """Start a container."""
        words = ["run", "--detach", "--name", name, *_LIMITS, *options, image, *arguments]
        await asyncio.to_thread(self._output, *words)

    async def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a running container."""
        return await self.podman("exec", name, *command)

    async def podman(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run podman."""
        return await asyncio.to_thread(self._run, [*self._podman, *words])

    async def state(self, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return the state of a container."""
        return json.loads((await self.podman("inspect", "--format", "json", name)).stdout)[0]["State"]

    def _bootstrap(self, tar: Path) -> None:
        place = self._directory / "bootstrap"
        words = [
            str(self._debootstrap),
            "--variant=minbase",
            f"--include={_PACKAGES}",
            "bookworm",
            str(place),
            *_mirror(),
        ]
        done = self._run(words)
        if done.returncode:
            _missing(f"debootstrap cannot make a Debian here: {done.stdout[-500:]} {done.stderr}")
        for rest in [*place.glob("var/cache/apt/archives/*.deb"), *place.glob("var/lib/apt/lists/*_*")]:
            rest.unlink()
        tar.parent.mkdir(parents=True, exist_ok=True)
        unfinished = tar.with_suffix(f".{os.getpid()}")
        with tarfile.open(unfinished, "w") as file:
            file.add(place, ".")
        unfinished.rename(tar)
        shutil.rmtree(place)

    def _output(self, *words: str) -> str:
        done = self._run([*self._podman, *words])
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)


_LIMITS = ("--ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --log-driver k8s-file --health-interval disable").split()
"""Limits that a sandbox lets it set; the health check is run by hand, because its timer would be systemd's."""


def _missing(what: str) -> NoReturn:
    """Skip the test for want of something, or fail it where all components are required."""
    if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
        pytest.fail(what)
    pytest.skip(what)


def _mirror() -> list[str]:
    """Return where apt gets this machine's packages, so that a mirror of one's own is used; nothing for the default."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    lines = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
    return [line.split()[0] for line in lines if line.endswith(" bookworm") and "debian" in line][:1]


def _pip_options() -> dict[str, str]:
    """Return pip's configuration on this machine, that of the environment last."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(words, capture_output=True, text=True).stdout.splitlines()
    pairs = [line.partition("=") for line in lines]
    inner = [(key, value) for key, _, value in pairs if not key.startswith(":env:")]
    outer = [(key, value) for key, _, value in pairs if key.startswith(":env:")]
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, value in [*inner, *outer]}


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev
