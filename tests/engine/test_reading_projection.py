"""Projection images as a display shows them, or a refusal with the reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from engine.api import Refusal
from engine.reading import projection, read_images
from tests.synthetic_projection import SPOT, write_projection


@pytest.mark.parametrize("modality", ["CR", "DX", "MG"])
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_large_is_bright_whatever_the_photometric_interpretation(modality: str, interpretation: str, tmp_path: Path) -> None:
    shown = write_projection(tmp_path / "1.dcm", modality=modality, PhotometricInterpretation=interpretation)
    (image,) = read_images([tmp_path / "1.dcm"])
    assert image.modality == modality
    np.testing.assert_array_equal(image.pixels, shown)
    low, high = image.window
    assert low == pytest.approx(0, abs=1)
    assert high == pytest.approx(4095, abs=1)


def test_view_side_and_scale_are_told(tmp_path: Path) -> None:
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399368009", "SCT", "medio-lateral oblique"
    changes: dict[str, Any] = {"ViewPosition": None, "ViewCodeSequence": [view], "ImageLaterality": "L", "PixelSpacing": None}
    write_projection(tmp_path / "1.dcm", modality="MG", **changes)
    (image,) = read_images([tmp_path / "1.dcm"])
    assert (image.view_position, image.laterality, image.pixel_spacing_mm) == ("MLO", "L", (2.0, 2.0))


def test_rescale_and_modality_lut_are_applied(tmp_path: Path) -> None:
    shown = write_projection(tmp_path / "1.dcm", RescaleSlope=2, RescaleIntercept=-100)
    (image,) = read_images([tmp_path / "1.dcm"])
    np.testing.assert_allclose(image.pixels, 2.0 * shown - 100)


def test_without_a_window_the_usual_values_make_one(tmp_path: Path) -> None:
    shown = write_projection(tmp_path / "1.dcm", WindowCenter=None, WindowWidth=None)
    (image,) = read_images([tmp_path / "1.dcm"])
    assert image.window == pytest.approx(tuple(np.percentile(shown, (1, 99))))


def test_the_first_of_several_windows_counts(tmp_path: Path) -> None:
    write_projection(tmp_path / "1.dcm", WindowCenter=[1000, 5], WindowWidth=[500, 9], VOILUTFunction="LINEAR_EXACT")
    assert read_images([tmp_path / "1.dcm"])[0].window == (750, 1250)


def test_frames_and_instances_come_in_order(tmp_path: Path) -> None:
    write_projection(tmp_path / "b.dcm", number=2, frames=2)
    write_projection(tmp_path / "a.dcm", number=10)
    images = read_images([tmp_path / "a.dcm", tmp_path / "b.dcm"])
    assert [(i.source.sop_instance_uid[-3:], i.source.frame_number) for i in images] == [("7.2", 1), ("7.2", 2), (".10", None)]


def test_a_raw_image_is_left_out_beside_one_for_presentation_and_refused_alone(tmp_path: Path) -> None:
    write_projection(tmp_path / "raw.dcm", number=1, PresentationIntentType="FOR PROCESSING")
    write_projection(tmp_path / "shown.dcm", number=2)
    assert len(read_images([tmp_path / "raw.dcm", tmp_path / "shown.dcm"])) == 1
    with pytest.raises(Refusal, match="FOR PROCESSING"):
        read_images([tmp_path / "raw.dcm"])


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "Not a projection image but CT Image Storage"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"Rows": 60000}, "claims 60000 rows"),
        ({"Rows": 4000, "Columns": 4000}, "truncated"),
        ({"NumberOfFrames": 3}, "truncated"),
        ({"PixelData": b""}, "truncated"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(edit: dict[str, object], reason: str, tmp_path: Path) -> None:
    write_projection(tmp_path / "1.dcm")
    dataset = pydicom.dcmread(tmp_path / "1.dcm")
    for keyword, value in edit.items():
        setattr(dataset, keyword, value)
    dataset.save_as(tmp_path / "1.dcm")
    with pytest.raises(Refusal, match=reason):
        read_images([tmp_path / "1.dcm"])


def test_more_pixels_than_memory_may_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_projection(tmp_path / "1.dcm")
    monkeypatch.setattr(projection, "MAXIMUM_PIXELS", 100)
    with pytest.raises(Refusal, match="up to 100 are read"):
        read_images([tmp_path / "1.dcm"])


def test_files_of_other_kinds_are_refused_and_none_breaks_the_reader(odd_files: Path) -> None:
    read, reasons = [], []
    for path in sorted(odd_files.rglob("*.dcm")):
        try:
            read += [(path.name, image.modality) for image in read_images([path])]
        except Refusal as refusal:
            reasons.append(str(refusal))
    assert all(reasons)
    assert read == [("highdicom__dx_image.dcm", "DX")]


def test_the_spot_lies_where_it_was_drawn(tmp_path: Path) -> None:
    write_projection(tmp_path / "1.dcm", PhotometricInterpretation="MONOCHROME1")
    pixels = read_images([tmp_path / "1.dcm"])[0].pixels
    write_projection(tmp_path / "2.dcm", spot=False)
    difference = pixels - read_images([tmp_path / "2.dcm"])[0].pixels
    assert tuple(int(place) for place in np.unravel_index(int(difference.argmax()), difference.shape)) == SPOT
