"""Labelled cases from what hospitals and public collections hold; one file per form, and every reader gives `LabelledCase`s."""
