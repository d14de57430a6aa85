"""Randomised synthetic anatomy."""
