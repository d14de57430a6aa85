"""One TOML file, checked as a whole before anything starts."""
