"""Measurements beside named peers; each prints ratios and saves them under bench/results/."""
