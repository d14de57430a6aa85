"""Where the models come from."""
