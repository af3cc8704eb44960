"""What the documentation shows, read by the tests that hold it to its word."""
