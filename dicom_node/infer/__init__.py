"""Engines in a killable child process."""
