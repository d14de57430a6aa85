"""Phantoms kept on disk between runs."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16, UInt8

Case = tuple[Int16[np.ndarray, "slices rows columns"], UInt8[np.ndarray, "slices rows columns"]]
"""HU and labels."""


@dataclass(frozen=True, slots=True)
class CaseStore:
    """Cases by number, made on first use and kept as NNNN.npz in a folder."""

    folder: Path
    make: Callable[[int], Case]

    def load(self, number: int) -> Case:
        path = self.folder / f"{number:05d}.npz"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            hu, labels = self.make(number)
            part = path.with_suffix(f".{os.getpid()}.part.npz")
            np.savez(part, hu=hu, labels=labels)
            part.replace(path)
        with np.load(path) as arrays:
            return arrays["hu"], arrays["labels"]
