"""What training refuses, in words for the person at the terminal."""


class TrainingError(Exception):
    """A training, its data or its settings cannot be used: what, where, and what to do about it. Names no patient."""


class LabelError(TrainingError):
    """Labels that do not fit their images, or cannot be read; the message names the file and the remedy."""
