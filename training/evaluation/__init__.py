"""Evaluation of engines on labelled cases: run, score, compare, and write one report (HTML and JSON)."""
