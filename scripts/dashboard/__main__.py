"""Write the dashboard: python -m scripts.dashboard."""

from pathlib import Path

from scripts.dashboard.document import PATH, render

if __name__ == "__main__":
    (Path(__file__).parents[2] / PATH).write_text(render(), "utf-8")
