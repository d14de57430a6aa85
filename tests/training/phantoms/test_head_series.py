from pathlib import Path

import numpy as np

from engine.reading import read_series
from training.phantoms.head import head
from training.phantoms.head_series import write_study


def test_a_head_can_be_written_as_a_study_and_read_back(tmp_path: Path) -> None:
    phantom = head(2, (4.0, 4.0, 4.0), (48, 56, 48))
    series = {role: read_series(paths) for role, paths in write_study(phantom, tmp_path, "one").items()}
    assert np.array_equal(series["flair"].voxels, phantom.flair)
    assert np.array_equal(series["t1c"].voxels, phantom.contrast_t1)
    flair, contrast_t1 = (series[role].sequence for role in ("flair", "t1c"))
    assert flair is not None
    assert contrast_t1 is not None
    assert (flair.words, flair.inversion_time_ms, flair.contrast_agent) == (("FLAIR",), 2500, False)
    assert (contrast_t1.words, contrast_t1.inversion_time_ms, contrast_t1.contrast_agent) == (("T1",), None, True)
    assert series["flair"].spacing_mm == (4.0, 4.0, 4.0)
