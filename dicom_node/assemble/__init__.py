"""Instances become whole series."""
