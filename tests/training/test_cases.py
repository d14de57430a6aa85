import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.cases import Case, CaseStore, kept

ROOT = Path(__file__).parents[2]


def _case(number: int) -> Case:
    hu = np.full((20, 24, 28), number - 500, np.int16)
    return hu, np.full(hu.shape, 1, np.uint8)


def _refuse(number: int) -> Case:
    raise AssertionError(number)


def test_a_case_is_made_once_and_then_read(tmp_path: Path) -> None:
    first = CaseStore(tmp_path, _case).load(3)
    again = CaseStore(tmp_path, _refuse).load(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(AssertionError):
        CaseStore(tmp_path, _refuse).load(4)


def test_two_processes_that_make_the_same_case_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "cases" / "7.npz"
    other = "import pathlib, sys, numpy, training.cases as c; c.kept(pathlib.Path(sys.argv[1]), lambda: {'a': numpy.ones(3)})"

    class Meanwhile:
        """An array in the midst of whose writing another process begins and finishes the same file."""

        def __array__(self, *_: object, **__: object) -> np.ndarray:
            subprocess.run([sys.executable, "-c", other, str(file)], check=True, cwd=ROOT)
            return np.ones(3)

    found = kept(file, lambda: {"a": Meanwhile()})  # type: ignore[dict-item]
    assert np.array_equal(found["a"], np.ones(3))
    assert [path.name for path in file.parent.iterdir()] == ["7.npz"]
