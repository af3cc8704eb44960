"""The command line: one file per command. Commands import what they need when they run, so that help is quick."""

from mcwatch.cli.program import main

__all__ = ["main"]
