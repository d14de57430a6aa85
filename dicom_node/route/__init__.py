"""Which engine runs on which series, and why."""
