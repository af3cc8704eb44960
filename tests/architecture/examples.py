"""The example configurations, readable on a machine that has none of their secrets."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDER = ROOT / "config" / "examples"
EXAMPLES = [
    ROOT / "config" / "mcwatch.example.yaml",
    *sorted(_FOLDER.glob("*.yaml")),
    *sorted(_FOLDER.glob("*/mcwatch.yaml")),
]


def account_files(example: Path) -> list[Path]:
    """Return the files beside an example that hold its accounts; one in a directory of its own may have some."""
    return sorted(example.parent.glob("*.d/*.yaml")) if example.name == "mcwatch.yaml" else []


def with_fake_secrets(example: Path, directory: Path) -> tuple[Path, dict[str, str]]:
    """Copy an example with its secret files moved into ``directory``; return the copy and the variables it needs."""
    environ: dict[str, str] = {}
    for file in (example, *account_files(example)):
        text = file.read_text("utf-8")
        for path in set(re.findall(r"\{file: ([^}]+)\}", text)):
            fake = directory / Path(path).name
            fake.write_text("made-up-secret\n", "utf-8")
            text = text.replace(f"{{file: {path}}}", f"{{file: {fake}}}")
        environ |= dict.fromkeys(re.findall(r"\{env: ([A-Z_]+)", text), "http://made-up.example:3128")
        copy = directory / file.relative_to(example.parent)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text, "utf-8")
    return directory / example.name, environ
