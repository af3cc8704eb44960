"""docs/INSTALL-SYSTEMD.md followed to the letter, on a copy of this machine that systemd has booted.

The copy is an overlay: what happens in it is gone with it. Only installing the program needs a package index.
"""

import os
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.acceptance import configuration
from tests.fakes.unit_file import CONFIG, DOCUMENT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_HERE = Path(__file__).parents[2]
_EXAM = """
said() { echo "== $1: $(cat)"; }
shown() { systemctl show mcwatch -P "$1" | said "$2"; }
systemctl start simulate silent; sleep 5
{begin}
sleep 15
shown StatusText status
wc -l </var/log/mcwatch/events.ndjson | said events
runuser -u mcwatch -- mcwatch status -c /etc/mcwatch/mcwatch.yaml 2>&1 | head -2 | tail -1 | said command
grep CapEff /proc/$(systemctl show -P MainPID mcwatch)/status | said capabilities
python3 -c 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:9640/metrics").read().decode())' |
    grep -c ^process_ | said process_metrics

systemctl reload mcwatch; echo $? | said reload; sleep 2
shown ActiveState reloaded

mkdir -p /srv/siem /etc/systemd/system/mcwatch.service.d; chown mcwatch /srv/siem
sed -i s,/var/log/mcwatch/,/srv/siem/, /etc/mcwatch/mcwatch.yaml
printf '[Service]\\nReadWritePaths=/srv/siem\\nTimeoutStopSec=3s\\nWatchdogSec=4s\\n' \\
    >/etc/systemd/system/mcwatch.service.d/drop-in.conf
systemctl daemon-reload; systemctl restart mcwatch; sleep 10
stat -c %U:%a /srv/siem/events.ndjson | said elsewhere
shown NRestarts restarts_before
kill -STOP $(systemctl show -P MainPID mcwatch); sleep 16
shown NRestarts restarts_by_watchdog
shown ActiveState after_watchdog

date +%s >/root/began; systemctl stop mcwatch; echo $(($(date +%s) - $(cat /root/began))) | said drained
shown Result stopped

echo 'accounts: nonsense' >/etc/mcwatch/mcwatch.yaml
systemctl start mcwatch; sleep 7; shown ExecMainStatus bad; shown NRestarts bad_restarts
journalctl -u mcwatch -o cat --no-pager
"""
"""What is done after the installation, in the booted copy; ``{begin}`` are the page's own commands."""

_SERVICES = {
    "simulate": "[Service]\nUser=nobody\nWorkingDirectory=/\nExecStart=/usr/local/bin/mcwatch simulate\n",
    # A receiver that accepts connections and says nothing: something to drain for.
    "silent": "[Service]\nExecStart=/usr/bin/python3 -c 'import socket,time;"
    's=socket.create_server(("127.0.0.1",9999),backlog=64);time.sleep(9999)\'\n',
    "exam": "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nTimeoutStartSec=600\n"
    "StandardOutput=file:/var/exam.log\nStandardError=inherit\nExecStart=/bin/bash /root/exam.sh\n"
    "ExecStopPost=/bin/systemctl poweroff --force\n",
}


def _commands(step: int) -> str:
    """Return the commands of a step of the page's first section."""
    section = DOCUMENT.read_text("utf-8").split("\n## Install\n")[1].split("\n## ")[0]
    (text,) = re.findall(rf"^{step}\. (.*?)(?=^\d\. |\Z|^`systemctl)", section, re.MULTILINE | re.DOTALL)
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return textwrap.dedent("\n".join(line for line in plain.splitlines() if line.startswith("       ")))


@pytest.fixture
def machine(tmp_path: Path, require_program: Callable[[str], Path]) -> Iterator[Path]:
    """Give the root of a copy of this machine that forgets what is done to it."""
    require_program("systemd-nspawn")
    memory, root = tmp_path / "memory", tmp_path / "root"
    memory.mkdir()
    root.mkdir()
    mounts = [
        ["mount", "-t", "tmpfs", "tmpfs", str(memory)],
        ["mkdir", str(memory / "upper"), str(memory / "work")],
        ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work",
         str(root)],
    ]  # fmt: skip
    try:
        for command in mounts:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                text = f"a copy of this machine cannot be made here: {done.stderr.strip()}"
                if os.environ.get("MCWATCH_REQUIRE_COMPONENTS"):
                    pytest.fail(text)
                pytest.skip(text)
        yield root
    finally:
        for path in (root, memory):
            subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def _install(root: Path) -> None:
    """Do step 1, which needs the network, before the copy is booted."""
    script = root / "root" / "install.sh"
    script.write_text(f"set -e\ncd {_HERE}\nrm -rf /opt/mcwatch /usr/local/bin/mcwatch\n{_commands(1)}\n")
    # Without the development environment's directories, so that Debian's Python is found.
    env = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    spawn = "mount --rbind /dev $0/dev && mount -t proc proc $0/proc && mount -t tmpfs tmpfs $0/tmp"
    chroot = f"{spawn} && exec chroot $0 /bin/bash -e /root/install.sh"
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", chroot, str(root)], env=env, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def _prepare(root: Path) -> None:
    """Write a configuration for the simulator, and what is to be done after the boot."""
    account = {
        "name": "acme",
        "api": {
            "base_url": "http://127.0.0.1:9650",
            "auth": {
                "type": "oauth2",
                "client_id": "demo",
                "client_secret": {"file": "/etc/mcwatch/secrets/acme-secret"},
            },
        },
        "sources": [{"type": "message_finder", "interval": "5s", "domains": ["corp.example"]}],
    }
    silent = configuration.hook("http://127.0.0.1:9999/", "silent")
    config = {
        "store": {"url": "sqlite:////var/lib/mcwatch/mcwatch.db"},
        "accounts": [account],
        "destinations": [configuration.file("/var/log/mcwatch/events.ndjson"), silent],
    }
    directory = root / Path(CONFIG).parent.relative_to("/")
    (directory / "secrets").mkdir(parents=True)
    (directory / "secrets" / "acme-secret").write_text("demo-secret\n")
    (root / CONFIG.lstrip("/")).write_text(yaml.safe_dump(config))
    units = root / "etc" / "systemd" / "system"
    for name, text in _SERVICES.items():
        (units / f"{name}.service").write_text(text)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "exam.service").symlink_to("../exam.service")
    begin = f"cd {_HERE}\n{_commands(2)}\n{_commands(3)}\n{_commands(4)}"
    (root / "root" / "exam.sh").write_text(_EXAM.replace("{begin}", begin))


def _boot(root: Path) -> dict[str, str]:
    """Boot the copy, without a network, until it powers itself off; return what the exam said."""
    command = ["systemd-nspawn", f"--directory={root}", "--boot", "--register=no", "--keep-unit", "--private-network",
               "--machine=mcwatch-exam", "--quiet", "--console=read-only"]  # fmt: skip
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)
    log = (root / "var" / "exam.log").read_text("utf-8", "replace")
    print(log)
    return dict(re.findall(r"^== (\w+): (.*)$", log, re.MULTILINE))


def test_the_page_leads_to_a_running_service(machine: Path) -> None:
    """Installed, started, reloaded, killed by its watchdog, drained beyond its time-out, refused: as it says."""
    _install(machine)
    _prepare(machine)
    said = _boot(machine)
    assert re.match(r"1 account, 1 destination up; 1 (down|not tried yet)", said.pop("status"))
    assert int(said.pop("events")) > 0
    assert said.pop("command").startswith("1 account: up")
    assert int(said.pop("process_metrics")) >= 5
    assert int(said.pop("drained")) > 10
    assert {
        "capabilities": "CapEff:\t0000000000000000",
        "reload": "0",
        "reloaded": "active",
        "elsewhere": "mcwatch:640",
        "restarts_before": "0",
        "restarts_by_watchdog": "1",
        "after_watchdog": "active",
        "stopped": "success",
        "bad": "78",
        "bad_restarts": "0",
    } == said
