"""The finder's planner: ranges of time, what of them is covered, and which window to ask for next. No I/O."""
