"""Figures of merit: pure functions of truth and result, one idea per file.

Where a figure is not defined (no truth, one class only) it is nan, never a number that stands for it.
"""
