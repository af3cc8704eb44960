"""Values and pure rules: no I/O, no clock, no randomness. Everything else stands on this floor."""
