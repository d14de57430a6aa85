"""Network architectures, built by name."""
