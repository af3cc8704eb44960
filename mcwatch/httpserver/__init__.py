"""What a running daemon answers: metrics, probes, its status, and the control socket of its own commands."""
