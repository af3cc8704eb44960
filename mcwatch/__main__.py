"""Lets ``python -m mcwatch`` do what ``mcwatch`` does."""

from mcwatch.cli import main

main()
