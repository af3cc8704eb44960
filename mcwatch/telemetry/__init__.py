"""What operators see of a running daemon: metrics, logs, and which part is up."""
