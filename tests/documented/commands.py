"""What becomes of each command that the documentation shows: run, parsed by the program itself, or left, and why."""

import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from mcwatch.cli.program import program

_RELEASE = "run by tests/integration/test_release.py"
_UNIT = "mcwatch|rsyslog"
_SYSTEMD = "the unit is held against systemd's tools by tests/integration/test_systemd_unit.py; only systemd starts it"
_CLUSTER = "run by tests/integration/test_elastic_assets.py, against a real OpenSearch"
_MACHINE = "changes the reader's machine; the files it names are looked up"
_CONTAINER = "no Docker in the tests; the same is built and run by tests/integration/test_container.py, test_compose.py"
_DATABASE = "run by tests/integration/postgres/test_documentation_dump.py"
_KUBERNETES = "no cluster in the tests; tests/integration/test_kubernetes.py renders and checks what is applied"
LEFT: dict[str, str] = {
    r"make [a-z -]+": "targets are looked up in the Makefile",
    r"git clone …": "the address is the reader's",
    r"cd \S+": "where to go, not what to do",
    r"umask 077": "a setting of the shell",
    r"[A-Z_]+=\S*": "a variable of the shell",
    r"export [A-Z_]+=.*": "variables are given to the commands that are run",
    r"\. \.venv/bin/activate": "the tests' own environment",
    r"python3 scripts/try_receivers\.py": "run by tests/acceptance/test_readme.py",
    r"python3 -m venv \S+": _RELEASE,
    r"(\S+/)?pip install --require-hashes -r \S*requirements(/run)?\.txt": _RELEASE,
    r"(\S+/)?pip install --no-index --no-deps mcwatch-\S+\.whl": _RELEASE,
    r"(\S+/)?pip install --no-deps \.": "builds the wheel of tests/integration/test_release.py, with a tool it fetches",
    r"sha256sum -c SHA256SUMS": _RELEASE,
    r'sqlite3 \S+ "(\.backup|VACUUM INTO) .*"': "run by tests/acceptance/test_documentation_backup.py",
    r'kill -HUP "\$\(cat \S+\.lock\)"': "run by tests/acceptance/test_reload.py, with the process's own number",
    rf"systemctl (daemon-reload|(enable --now|disable --now|start|stop|restart|reload|status|show) ({_UNIT})( .*)?)": (
        _SYSTEMD
    ),
    r"journalctl -u mcwatch.*": _SYSTEMD,
    r"systemd-(sysusers|tmpfiles --create) mcwatch\.conf": _SYSTEMD,
    r"systemd-analyze security .*": _SYSTEMD,
    r"(apt|apt-get) install [a-z0-9 -]+": "Debian's, needs root",
    r"(install|ln|cp|rm|mkdir|chmod|chown|mv) .*": _MACHINE,
    r"put\(\) \{ curl .* \}": _CLUSTER,
    r"put _\S+ (json|yaml) \S+": _CLUSTER,
    r"promtool (check|test) rules \S+": "run by tests/integration/test_prometheus_rules.py",
    r"rsyslogd -N1": "run by tests/integration/test_rsyslog_recipe.py",
    r"tail -f \S+": "shows a file",
    r"jq .*": "looks at events in a file",
    r"cat": "the reader pastes a secret",
    r"docker (build|exec|kill|run|stop) .*": _CONTAINER,
    r"docker compose( --profile demo)? (up|down|kill|logs)( .*)?": _CONTAINER,
    r"pg_(dump|restore) .*": _DATABASE,
    r'pip install "mcwatch\[[a-z,]+\]"': "the reader's own index; the extras are those of pyproject.toml",
    r"kind load docker-image mcwatch:\S+": _KUBERNETES,
    r"kubectl (-n \S+ )?(apply|create|delete|diff|exec|get|logs|port-forward|rollout) .*": _KUBERNETES,
}
"""Commands that neither run nor are parsed here, with who looks at them. Whole commands, as regular expressions."""

ONLY_NAMED = {
    "--install-completion": "writes into the shell's own files",
    "--show-completion": "asks which shell called it",
}
"""Options that must not be run, nor parsed: they act as soon as they are read."""
_COMMANDS = frozenset(getattr(get_command(program), "commands", {}))
_WORDS = re.compile(
    r"""(?:"[^"]*"|'[^']*'|\$\([^)]*\)|\d?[<>]+\s*\S+|&&|\|\|?|[;&]|[^\s"';|&<>])(?:"[^"]*"|'[^']*'|[^\s"';|&<>])*"""
)
_SUDO = re.compile(r"^(sudo( -u \S+| -E)* )?([A-Z_][A-Z0-9_]*=\S+ )*")


def simple_commands(text: str) -> list[str]:
    """Return the commands of a line, apart, without redirection, ``sudo`` and variables before them.

    What stands in brackets is optional, and taken.
    """
    if re.match(r"\w+\(\) \{", text):
        return [text]  # the definition of a function
    found: list[list[str]] = [[]]
    for word in _WORDS.findall(re.sub(r"\[(-[^\]]*)\]", r"\1", text)):
        if word in {"&&", "||", "|", ";", "&"}:
            found.append([])
        elif not re.match(r"\d?[<>]", word):
            found[-1].append(word)
    return [_SUDO.sub("", " ".join(words)) for words in found if words]


def mcwatch_arguments(command: str) -> Iterator[list[str]]:
    """Yield the arguments of mcwatch where a command starts it, be it inside a container or as another user."""
    words = shlex.split(command)
    for number, word in enumerate(words):
        rest = words[number + 1 :]
        program_or_image = Path(word).name.partition(":")[0]
        if program_or_image == "mcwatch" and (number == 0 or (rest and rest[0] in _COMMANDS)):
            yield rest
            return


def wrong_usage(arguments: list[str]) -> str | None:
    """Return what the program says against these arguments; None when it would run them."""
    command: Any = get_command(program)
    context: Any = None
    if arguments and arguments[0] in ONLY_NAMED:
        known = any(arguments[0] in option.opts for option in command.params)
        return None if known else f"No such option: {arguments[0]}"
    try:
        with redirect_stdout(StringIO()):  # --help and --version print and end
            while command:
                context = command.make_context("mcwatch", list(arguments), parent=context)
                below = [*context._protected_args, *context.args] if hasattr(command, "resolve_command") else None
                _, command, arguments = command.resolve_command(context, below) if below else (None, None, [])
    except typer.Exit:
        return None
    except Exception as error:  # noqa: BLE001 - whatever the program's parser raises is its word
        return str(error.format_message() if hasattr(error, "format_message") else error)
    return None


def why_left(command: str) -> str | None:
    """Return the reason why a command of another program is not run here; None where nobody gave one."""
    return next((reason for pattern, reason in LEFT.items() if re.fullmatch(pattern, command)), None)


def is_own_page(command: str) -> bool:
    """Tell whether a command asks mcwatch's own HTTP listener; those are run."""
    return bool(re.match(r"curl .*https?://[^/ ]*:9640(/|\b)", command))
