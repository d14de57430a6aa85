from pathlib import Path

import numpy as np
import pytest

from training.cases import Case, CaseStore


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
