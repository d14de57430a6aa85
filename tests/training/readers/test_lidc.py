from pathlib import Path

import numpy as np
import pytest

from engine.reading import read_series
from tests.synthetic_ct import SyntheticSeries, write_ct
from training.errors import LabelError
from training.readers.lidc import read_lidc_series

Square = tuple[int, int, int, int]
"""Slice, first row, first column, side of the outline, which itself lies outside the nodule."""


def _series(folder: Path) -> SyntheticSeries:
    series = write_ct(folder, rows=48, slices=8)
    for path in series.paths:
        path.rename(path.with_suffix(".dcm"))
    return series


def _edges(row: int, column: int, side: int) -> str:
    steps = range(side)
    path = [(row, column + s) for s in steps] + [(row + s, column + side) for s in steps]
    path += [(row + side, column + side - s) for s in steps] + [(row + side - s, column) for s in steps]
    return "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for y, x in path)


def _nodule(uids: tuple[str, ...], squares: list[Square], malignancy: int, holes: tuple[Square, ...] = ()) -> str:
    regions = "".join(
        f"<roi><imageZposition>0</imageZposition><imageSOP_UID>{uids[index]}</imageSOP_UID>"
        f"<inclusion>{'FALSE' if (index, row, column, side) in holes else 'TRUE'}</inclusion>{_edges(row, column, side)}</roi>"
        for index, row, column, side in [*squares, *holes]
    )
    ratings = f"<characteristics><subtlety>5</subtlety><malignancy>{malignancy}</malignancy></characteristics>"
    return f"<unblindedReadNodule><noduleID>1</noduleID>{ratings}{regions}</unblindedReadNodule>"


def _small(uids: tuple[str, ...]) -> str:
    point = "<edgeMap><xCoord>9</xCoord><yCoord>9</yCoord></edgeMap>"
    region = f"<roi><imageSOP_UID>{uids[1]}</imageSOP_UID><inclusion>TRUE</inclusion>{point}</roi>"
    return f"<unblindedReadNodule><noduleID>2</noduleID>{region}</unblindedReadNodule>"


def _write(folder: Path, *sessions: str) -> None:
    body = "".join(f"<readingSession>{session}</readingSession>" for session in sessions)
    (folder / "069.xml").write_text(f'<LidcReadMessage xmlns="http://www.nih.gov">{body}</LidcReadMessage>')


def test_marks_of_one_nodule_are_joined_and_their_ratings_averaged(tmp_path: Path) -> None:
    uids = _series(tmp_path).sop_instance_uids
    first, second = [(3, 10, 20, 8), (4, 10, 20, 8)], [(3, 11, 21, 8)]
    far = [(6, 30, 5, 6)]
    _write(
        tmp_path,
        _nodule(uids, first, 5) + _small(uids),
        _nodule(uids, second, 2),
        _nodule(uids, first, 5),
        _nodule(uids, far, 1),
    )
    case = read_lidc_series(tmp_path)
    assert case.structures == ("background", "nodule 1", "nodule 2")
    together, alone = case.lesions
    assert (together.readers, dict(together.ratings)) == (3, {"malignancy": 4.0, "subtlety": 5.0})
    assert (alone.readers, alone.ratings["malignancy"]) == (1, 1.0)
    # The outline is the first pixel outside; at least two of three readers agree on what both full outlines hold.
    expected = np.zeros(case.labels.shape, bool)
    expected[3:5, 11:18, 21:28] = True
    assert np.array_equal(case.labels == 1, expected)
    assert np.count_nonzero(case.labels == 2) == 25


def test_an_excluded_region_is_a_hole(tmp_path: Path) -> None:
    uids = _series(tmp_path).sop_instance_uids
    _write(tmp_path, _nodule(uids, [(3, 10, 20, 10)], 3, holes=((3, 13, 23, 4),)))
    case = read_lidc_series(tmp_path)
    assert np.count_nonzero(case.labels[3]) == 9 * 9 - 3 * 3
    assert case.labels[3, 15, 25] == 0


def test_the_slice_is_found_by_its_image_not_its_number(tmp_path: Path) -> None:
    series = _series(tmp_path)
    volume = read_series(sorted(tmp_path.glob("*.dcm")))
    _write(tmp_path, _nodule(series.sop_instance_uids, [(5, 10, 20, 8)], 3))
    assert volume.slices[5].sop_instance_uid == series.sop_instance_uids[5]
    assert np.flatnonzero(read_lidc_series(tmp_path).labels.any(axis=(1, 2))).tolist() == [5]


def test_a_scan_without_nodules_is_a_case_too(tmp_path: Path) -> None:
    uids = _series(tmp_path).sop_instance_uids
    _write(tmp_path, _small(uids))
    case = read_lidc_series(tmp_path)
    assert not case.labels.any()
    assert case.lesions == ()


def test_an_xml_that_is_not_about_the_series_is_refused(tmp_path: Path) -> None:
    _series(tmp_path)
    _write(tmp_path, _nodule(("1.2.3",) * 8, [(3, 10, 20, 8)], 3))
    with pytest.raises(LabelError, match="not in the series"):
        read_lidc_series(tmp_path)
    (tmp_path / "069.xml").write_text("<LidcReadMessage>")
    with pytest.raises(LabelError, match="is no XML"):
        read_lidc_series(tmp_path)
    (tmp_path / "069.xml").unlink()
    with pytest.raises(LabelError, match="0 XML and 8"):
        read_lidc_series(tmp_path)
