"""A demonstration with a real network round trip and no preparation."""
