"""Phantoms kept on disk between runs."""

import os
from collections.abc import Callable, Mapping
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
        def made() -> dict[str, np.ndarray]:
            hu, labels = self.make(number)
            return {"hu": hu, "labels": labels}

        arrays = kept(self.folder / f"{number:05d}.npz", made)
        return arrays["hu"], arrays["labels"]


def kept(file: Path, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of an npz file, made and written on first use.

    Several processes may do so at once: each writes a file of its own and renames it when it is whole.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, **make())  # type: ignore[arg-type]  # its stub takes allow_pickle for a keyword of the arrays
        part.replace(file)
    with np.load(file) as arrays:
        return dict(arrays)
