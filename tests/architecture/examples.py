"""The example configurations, readable on a machine that has none of their secrets."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "config" / "mcwatch.example.yaml", *sorted((ROOT / "config" / "examples").glob("*.yaml"))]


def with_fake_secrets(example: Path, directory: Path) -> tuple[Path, dict[str, str]]:
    """Copy an example with its secret files moved into ``directory``; return the copy and the variables it needs."""
    text = example.read_text("utf-8")
    for path in set(re.findall(r"\{file: ([^}]+)\}", text)):
        fake = directory / Path(path).name
        fake.write_text("made-up-secret\n", "utf-8")
        text = text.replace(f"{{file: {path}}}", f"{{file: {fake}}}")
    environ = dict.fromkeys(re.findall(r"\{env: ([A-Z_]+)", text), "http://made-up.example:3128")
    copy = directory / example.name
    copy.write_text(text, "utf-8")
    return copy, environ
