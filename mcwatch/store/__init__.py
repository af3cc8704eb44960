"""Everything that survives a restart, behind ``interfaces.Store``: one package per engine."""
