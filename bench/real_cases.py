"""The real cases beside the repository as labelled volumes, and what each engine is expected to do with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its own documentation's name
from pydicom import dcmread

from engine.reading import read_series, read_volume
from engine.volume import SequenceFacts, SliceReference, Volume
from tests.real_data import RealData
from training.evaluation.cases import LabelledVolume

ANALYSED, DECLINED = "analysed", "declined"
TCGA = "TCGA-DU-7294_brainles"
TOTAL_SEGMENTATOR_LIVER = 5
CIP_RIGHT_LOBES, CIP_LEFT_LOBES = (12, 13, 14), (9, 10, 11)


@dataclass(frozen=True)
class RealCase:
    """One image, and what an engine should do with it.

    Attributes:
        name: for tables and picture files.
        content: what it shows, and who made the labels.
        archive: beginning of the archive's name.
        load: from the unpacked archive.
        expected: engine -> ANALYSED or DECLINED (refused, or nothing found with the reason); where an engine is not named,
            either may be right.
    """

    name: str
    content: str
    archive: str
    load: Callable[[Path], LabelledVolume]
    expected: Mapping[str, str]

    def read(self, data: RealData) -> LabelledVolume:
        return replace(self.load(data.folder(self.archive)), key=self.name, patient=self.name)


def _series(*parts: str) -> Callable[[Path], LabelledVolume]:
    return lambda folder: _unlabelled(read_series(sorted(file for file in folder.joinpath(*parts).iterdir() if file.is_file())))


def _one(*parts: str) -> Callable[[Path], LabelledVolume]:
    return lambda folder: _unlabelled(read_series([folder.joinpath(*parts)]))


def _unlabelled(volume: Volume) -> LabelledVolume:
    return LabelledVolume("", "", volume, {})


def _half_chest(folder: Path) -> LabelledVolume:
    """The patient's right half alone, as a wrong field of view would show it."""
    volume = _series("2-LUNG 3.0  B70f-04083")(folder).volume
    half = volume.voxels.shape[2] // 2
    padded = None if volume.padded is None else np.ascontiguousarray(volume.padded[:, :, :half])
    return _unlabelled(replace(volume, voxels=np.ascontiguousarray(volume.voxels[:, :, :half]), padded=padded))


def _cip(folder: Path) -> LabelledVolume:
    home = folder / "small_extras" / "cip_ct64_dicom"
    region = _array(home / "lm-64.nrrd") & 255
    truth = {"right-lung": np.isin(region, CIP_RIGHT_LOBES), "left-lung": np.isin(region, CIP_LEFT_LOBES)}
    return LabelledVolume("", "", _volume(home / "ct-64.nrrd", "CT"), truth)


def _trunk(folder: Path) -> LabelledVolume:
    home = folder / "small_extras" / "totalsegmentator"
    liver = _array(home / "example_seg_fast_force_split.nii.gz") == TOTAL_SEGMENTATOR_LIVER
    return LabelledVolume("", "", _volume(home / "example_ct.nii.gz", "CT"), {"liver": liver})


def _slab(folder: Path) -> LabelledVolume:
    """The files' SOP Class and Instance UID are empty; those of their file meta information are not."""
    home = folder / "small_extras" / "totalsegmentator"
    datasets = [dcmread(file) for file in sorted((home / "example_ct_dicom").iterdir())]
    for dataset in datasets:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    liver = _array(home / "example_seg_dicom.nii.gz") == TOTAL_SEGMENTATOR_LIVER
    return LabelledVolume("", "", read_volume(datasets), {"liver": liver})


def _tcga(*, contrast: bool) -> Callable[[Path], LabelledVolume]:
    def load(folder: Path) -> LabelledVolume:
        home = folder / TCGA
        flair = _mr(home, "fla", SequenceFacts(words=("FLAIR",)))
        companions = {"t1c": _mr(home, "t1c", SequenceFacts(contrast_agent=True, words=("T1",)))} if contrast else {}
        truth = {"tumour": _array(home / "fusion" / "mav.nii.gz") > 0}
        return LabelledVolume("", "", flair, truth, companions=companions)

    return load


def _tcga_t1(folder: Path) -> LabelledVolume:
    return _unlabelled(_mr(folder / TCGA, "t1", SequenceFacts(words=("T1",))))


def _mr(home: Path, name: str, facts: SequenceFacts) -> Volume:
    """The archive holds NIfTI files, whose headers say nothing of the sequence: the file's name does."""
    return replace(_volume(home / "raw_bet" / f"TCGA-DU-7294_{name}_bet.nii.gz", "MR"), sequence=facts)


def _image(path: Path) -> Any:
    """SimpleITK's image, whose methods carry no types."""
    return sitk.DICOMOrient(sitk.ReadImage(path), "LPS")  # type: ignore[no-untyped-call]


def _array(path: Path) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(_image(path)))


def _volume(path: Path, modality: str) -> Volume:
    image = _image(path)
    columns_mm, rows_mm, slices_mm = image.GetSpacing()
    voxels = sitk.GetArrayFromImage(image).round()
    lowest = -1024 if modality == "CT" else 0
    origin = np.array(image.GetOrigin())
    return Volume(
        voxels=np.clip(voxels, lowest, 32767).astype(np.int16),
        positions_mm=origin + np.outer(np.arange(len(voxels)), [0, 0, slices_mm]),
        row_direction=np.array([1.0, 0.0, 0.0]),
        column_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(rows_mm, columns_mm),
        slice_thickness_mm=slices_mm,
        modality=modality,
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(len(voxels))),
    )


CHEST_ENGINES, ENGINES = ("lung-segmentation", "nodule-malignancy"), ("lung-segmentation", "nodule-malignancy", "liver-tumor")
ALL_ENGINES = (*ENGINES, "brain-tumor")


def _all(answer: str, *engines: str) -> dict[str, str]:
    return dict.fromkeys(engines, answer)


_CHEST = {**_all(ANALYSED, *CHEST_ENGINES), "brain-tumor": DECLINED}
_COARSE_CHEST = {"lung-segmentation": ANALYSED, **_all(DECLINED, "nodule-malignancy", "brain-tumor")}
_ABDOMEN = {**_all(DECLINED, *CHEST_ENGINES, "brain-tumor"), "liver-tumor": ANALYSED}
_HEAD = {**_all(DECLINED, *ENGINES), "brain-tumor": ANALYSED}
_WRONG = _all(DECLINED, *ALL_ENGINES)
_CHEST_STUDY, _SMALL, _GLIOMA = "ct_chest_C3N", "small_extras", "mr_brain_TCGA"
_ACRIN = "36850343327463"

CASES = (
    RealCase("cip-64", "whole chest, 64 x 64; lobes labelled by people (CIP)", _SMALL, _cip, _COARSE_CHEST),
    RealCase("chest-c3n", "chest CT, 3 mm, lung cancer; no labels", _CHEST_STUDY, _series("2-LUNG 3.0  B70f-04083"), _CHEST),
    RealCase(
        "chest-acrin",
        "CT of a PET study, lung cancer; no labels",
        "study_ACRIN",
        _series(_ACRIN, "24875394858561"),
        _CHEST,
    ),
    RealCase(
        "abdomen-crlm",
        "abdomen CT, 5 mm, liver metastases; no labels",
        "ct_abdomen_CRLM",
        _series("CRLM-CT-1004", "image"),
        _ABDOMEN,
    ),
    RealCase(
        "trunk-total",
        "CT at 3 mm; liver labelled by TotalSegmentator's fast model",
        _SMALL,
        _trunk,
        {"liver-tumor": ANALYSED, "brain-tumor": DECLINED},
    ),
    RealCase(
        "slab-total",
        "20 slices of 2 mm through the liver; labelled by TotalSegmentator",
        _SMALL,
        _slab,
        _all(DECLINED, *CHEST_ENGINES, "brain-tumor"),
    ),
    RealCase("glioma-flair", "FLAIR of a glioma; fusion of five algorithms' labels", _GLIOMA, _tcga(contrast=False), _HEAD),
    RealCase("glioma-flair-t1c", "the same with contrast T1", _GLIOMA, _tcga(contrast=True), _HEAD),
    RealCase("glioma-t1", "T1 without contrast of the same head: not FLAIR", _GLIOMA, _tcga_t1, _WRONG),
    RealCase("schwannoma-t1c", "contrast T1 of another head: not FLAIR", "mr_brain_T1c", _series("VS-SEG-001_jpegls"), _WRONG),
    RealCase("pet-acrin", "PET of the study of chest-acrin", "study_ACRIN", _series(_ACRIN, "56317561081015"), _WRONG),
    RealCase(
        "scout-acrin",
        "localizer of the study of chest-acrin",
        "study_ACRIN",
        _series(_ACRIN, "96436870336581"),
        _WRONG,
    ),
    RealCase(
        "phantom-mr",
        "enhanced MR of a QA phantom",
        "odd_and_interop",
        _one("odd_dev", "enhanced", "dcm_qa_enh__6_1.dcm"),
        _WRONG,
    ),
    RealCase("half-chest", "the right half of chest-c3n", _CHEST_STUDY, _half_chest, _WRONG),
)
