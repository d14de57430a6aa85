"""Synthetic CT series of a thorax, written as DICOM files in the variants that scanners and archives produce.

The anatomy is a function of the point in the patient (LPS mm), so whatever the orientation of the slices, left stays left; the
truth (voxels, lungs) is in slice order: ascending along the normal cross(row direction, column direction).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset, FileMetaDataset

from tests.synthetic_thorax import thorax_hu

PADDING_HU = -2000
AGAIN = ", again"


def _rotation(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {"x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])}[axis]


@dataclass(frozen=True)
class Variant:
    """How a series departs from plain axial slices.

    Attributes:
        axes: columns are row direction, column direction and normal.
        tilt_degrees: gantry tilt; the table still moves along the untilted normal.
        dense_share: share of slices at half the step, at the far end.
        missing, repeated: how many slices are left out in the middle, or written twice under another SOP Instance UID.
        second_phase: every position a second time with other pixels.
        localizer: one coronal scout image among the slices.
        padded: the corners outside the field of view hold Pixel Padding Value.
    """

    axes: np.ndarray | None = None
    tilt_degrees: float = 0.0
    dense_share: float = 0.0
    missing: int = 0
    repeated: int = 0
    second_phase: bool = False
    localizer: bool = False
    padded: bool = False
    lone: bool = False
    descending: bool = False
    enhanced: bool = False
    ordered: bool = False
    patient_position: str = "HFS"
    character_set: str | list[str] = "ISO_IR 100"
    patient_name: str = "Test^Patient"
    without: tuple[str, ...] = ()
    transfer_syntax_uid: str = uids.ExplicitVRLittleEndian


TYPE_2 = (
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
    "PatientBirthDate",
    "PatientSex",
    "StudyTime",
    "SliceThickness",
)
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "axial": Variant(),
        "oblique": Variant(axes=_rotation("x", 20) @ _rotation("y", 12)),
        "descending": Variant(descending=True),
        "irregular": Variant(dense_share=0.4),
        "tilted": Variant(tilt_degrees=15.0),
        "gap": Variant(missing=1),
        "hole": Variant(missing=6),
        "duplicates": Variant(repeated=2),
        "two_phases": Variant(second_phase=True),
        "localizer_inside": Variant(localizer=True),
        "feet_first": Variant(axes=np.diag([-1.0, 1.0, -1.0]), patient_position="FFS"),
        "prone": Variant(axes=np.diag([-1.0, -1.0, 1.0]), patient_position="HFP"),
        "enhanced": Variant(enhanced=True),
        "one_slice": Variant(lone=True),
        "padded": Variant(padded=True),
        "ordered": Variant(ordered=True),
        "without_type_2": Variant(without=TYPE_2),
        "without_frame_of_reference": Variant(without=("FrameOfReferenceUID", "PositionReferenceIndicator")),
        "utf8": Variant(character_set="ISO_IR 192", patient_name="Müller^Zoë=山田^太郎=やまだ^たろう"),
        "gb18030": Variant(character_set="GB18030", patient_name="Wang^XiaoDong=王^小东"),
        "japanese": Variant(character_set=["", "ISO 2022 IR 87"], patient_name=JAPANESE),
        "korean": Variant(character_set=["", "ISO 2022 IR 149"], patient_name="Hong^Gildong=洪^吉洞=홍^길동"),
        "cyrillic": Variant(character_set="ISO_IR 144", patient_name="Люкceмбypг"),
        "latin1": Variant(patient_name="Müller^Jörg"),
        "implicit": Variant(transfer_syntax_uid=uids.ImplicitVRLittleEndian),
        "big_endian": Variant(transfer_syntax_uid=uids.ExplicitVRBigEndian),
        "deflated": Variant(transfer_syntax_uid=uids.DeflatedExplicitVRLittleEndian),
        "jpeg_lossless": Variant(transfer_syntax_uid=uids.JPEGLosslessSV1),
        "jpeg_ls": Variant(transfer_syntax_uid=uids.JPEGLSLossless),
        "jpeg_2000": Variant(transfer_syntax_uid=uids.JPEG2000Lossless),
        "rle": Variant(transfer_syntax_uid=uids.RLELossless),
        "enhanced_rle": Variant(enhanced=True, transfer_syntax_uid=uids.RLELossless),
    }
)


@dataclass(frozen=True)
class SyntheticSeries:
    """What was written, and the truth in slice order.

    Attributes:
        sop_instance_uids: of each slice; the lowest where a position is repeated; the multi-frame's for all of its frames.
    """

    directory: Path
    paths: tuple[Path, ...]
    voxels: np.ndarray
    left_lung: np.ndarray
    right_lung: np.ndarray
    positions_mm: np.ndarray
    row_direction: np.ndarray
    column_direction: np.ndarray
    pixel_spacing_mm: float
    sop_instance_uids: tuple[str, ...]
    study_instance_uid: str
    series_instance_uid: str
    patient_name: str


@dataclass(frozen=True)
class _Image:
    """One slice to write; `in_truth` is false for repeated positions, other phases and localizers."""

    name: str
    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    pixels: np.ndarray
    number: int
    in_truth: bool = True
    localizer: bool = False


def write_ct(
    directory: Path,
    variant: str | Variant = "axial",
    *,
    slices: int = 64,
    rows: int = 256,
    pixel_spacing_mm: float | None = None,
    step_mm: float | None = None,
    salt: str = "",
) -> SyntheticSeries:
    """Writes one series to `directory` (file names say nothing about the order); `salt` gives another study."""
    how = VARIANTS[variant] if isinstance(variant, str) else variant
    salt = f"{variant if isinstance(variant, str) else ''}{salt}"
    spacing = pixel_spacing_mm or 358.4 / rows
    axes = np.eye(3) if how.axes is None else how.axes
    row, column = axes[:, 0], _rotation("x", how.tilt_degrees) @ axes[:, 1]
    positions = _positions(how, axes, column, slices, step_mm or 256.0 / slices, spacing * (rows - 1))
    grid = spacing * np.arange(rows)
    plane = grid[None, :, None] * row + grid[:, None, None] * column
    voxels, left, right = thorax_hu(positions[:, None, None, :] + plane, seed=len(salt))
    if how.padded:
        voxels[:, np.hypot(*np.meshgrid(*(grid - grid.mean(),) * 2)) > spacing * rows / 2] = PADDING_HU
    images = _images(how, positions, row, column, voxels)
    uid = _uids(salt, "study", "series", "frame of reference", *(image.name for image in images))
    datasets = [_dataset(how, image, uid, spacing, step_mm or 256.0 / slices) for image in images]
    if how.enhanced:
        datasets = [_enhanced(datasets, how, uid["series"])]
    directory.mkdir(parents=True, exist_ok=True)
    return SyntheticSeries(
        directory=directory,
        paths=tuple(_save(dataset, directory, how.transfer_syntax_uid) for dataset in datasets),
        voxels=voxels,
        left_lung=left,
        right_lung=right,
        positions_mm=positions,
        row_direction=row,
        column_direction=column,
        pixel_spacing_mm=spacing,
        sop_instance_uids=tuple(
            datasets[0].SOPInstanceUID if how.enhanced else min(uid[image.name], uid.get(image.name + AGAIN, uid[image.name]))
            for image in images
            if image.in_truth
        ),
        study_instance_uid=uid["study"],
        series_instance_uid=uid["series"],
        patient_name=how.patient_name,
    )


def _uids(salt: str, *names: str) -> dict[str, str]:
    digests = {name: hashlib.sha256(f"{salt}|{name}".encode()).digest()[:16] for name in names}
    return {name: f"2.25.{int.from_bytes(digest, 'big')}" for name, digest in digests.items()}


def _positions(how: Variant, axes: np.ndarray, column: np.ndarray, slices: int, step: float, side: float) -> np.ndarray:
    """Image Position (Patient) of each slice, ascending; the middle of the stack is the middle of the thorax."""
    steps = np.full(slices, step)
    if how.dense_share:
        steps[-int(slices * how.dense_share) :] = step / 2
    heights = np.cumsum(steps) - steps.sum() / 2
    middle = slices // 2
    heights = heights[middle : middle + 1] if how.lone else np.delete(heights, range(middle, middle + how.missing))
    return np.asarray(heights[:, None] * axes[:, 2] - side / 2 * (axes[:, 0] + column))


def _images(how: Variant, positions: np.ndarray, row: np.ndarray, column: np.ndarray, voxels: np.ndarray) -> list[_Image]:
    count = len(positions)
    numbers = range(count, 0, -1) if how.descending else range(1, count + 1)
    images = [_Image(f"slice {n}", positions[n], row, column, voxels[n], numbers[n]) for n in range(count)]
    again = range(count) if how.second_phase else range(count // 3, count // 3 + how.repeated)
    other = 30 if how.second_phase else 0
    images += [
        _Image(f"slice {n}{AGAIN}", positions[n], row, column, voxels[n] + np.int16(other), count + n, in_truth=False)
        for n in again
    ]
    if how.localizer:
        axes = np.array([1.0, 0, 0]), np.array([0, 0, -1.0])
        images.append(_Image("localizer", positions[0], *axes, voxels[0], 9000, in_truth=False, localizer=True))
    return images


def _dataset(how: Variant, image: _Image, uid: Mapping[str, str], spacing: float, step: float) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = how.character_set
    _describe_study(dataset, how, uid)
    dataset.SOPClassUID, dataset.SOPInstanceUID = uids.CTImageStorage, uid[image.name]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if image.localizer else "AXIAL"]
    dataset.InstanceNumber = image.number
    dataset.SliceThickness = f"{step:g}"
    dataset.GantryDetectorTilt = f"{how.tilt_degrees:g}"
    dataset.ImagePositionPatient = [f"{value:.6f}"[:16] for value in image.position]
    dataset.ImageOrientationPatient = [f"{value:.9f}"[:16] for value in (*image.row, *image.column)]
    dataset.SliceLocation = f"{image.position[2]:.4f}"
    dataset.PixelSpacing = [f"{spacing:.6f}"] * 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    if how.padded:
        dataset.PixelPaddingValue = PADDING_HU
    dataset.WindowCenter, dataset.WindowWidth = "-600", "1500"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
    dataset.LossyImageCompression = "00"
    dataset.PixelData = image.pixels.astype("<i2").tobytes()
    for keyword in how.without:
        if keyword in dataset:
            del dataset[keyword]
    return dataset


def _describe_study(dataset: Dataset, how: Variant, uid: Mapping[str, str]) -> None:
    texts = {
        "StudyInstanceUID": uid["study"],
        "SeriesInstanceUID": uid["series"],
        "FrameOfReferenceUID": uid["frame of reference"],
        "PatientName": how.patient_name,
        "PatientID": "PID0001",
        "IssuerOfPatientID": "TESTHOSPITAL",
        "PatientBirthDate": "19600102",
        "PatientSex": "M",
        "PatientAge": "064Y",
        "Modality": "CT",
        "Manufacturer": "Synthetic CT Works",
        "ManufacturerModelName": "Phantom 80",
        "DeviceSerialNumber": "SN1",
        "SoftwareVersions": "1.0",
        "InstitutionName": "Test Hospital",
        "ReferringPhysicianName": "Referrer^Rita",
        "AccessionNumber": "ACC0001",
        "StudyID": "1",
        "StudyDescription": "CT THORAX",
        "SeriesDescription": "AXIAL LUNG",
        "BodyPartExamined": "CHEST",
        "ConvolutionKernel": "LUNG",
        "ProtocolName": "Thorax",
        "PatientPosition": how.patient_position,
        "KVP": "120",
        "PositionReferenceIndicator": "",
        "SeriesNumber": "2",
        "AcquisitionNumber": "1",
    }
    for keyword, value in texts.items():
        setattr(dataset, keyword, value)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240115"
    dataset.StudyTime, dataset.SeriesTime, dataset.AcquisitionTime, dataset.ContentTime = "100000", "100100", "100200", "100300"
    if how.ordered:
        dataset.TimezoneOffsetFromUTC = "+0100"
        request = Dataset()
        request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP7", "SPS7"
        dataset.RequestAttributesSequence = [request]
    dataset.private_block(0x0009, "SYNTHETIC CT", create=True).add_new(0x01, "LO", "vendor private")


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _enhanced(slices: list[Dataset], how: Variant, series_instance_uid: str) -> Dataset:
    """The slices as frames of one Enhanced CT image, in order of their Instance Number (PS3.3 A.38)."""
    slices = sorted(slices, key=lambda dataset: int(dataset.InstanceNumber))
    first = slices[0]
    whole = Dataset()
    moved = ("Slice", "Image", "Rescale", "Window", "PixelSpacing", "PixelData", "InstanceNumber", "GantryDetectorTilt")
    for element in first:
        if not element.keyword.startswith(moved):
            whole[element.tag] = element
    whole.SOPClassUID, whole.SOPInstanceUID = (
        uids.EnhancedCTImageStorage,
        _uids(series_instance_uid, "multi-frame")["multi-frame"],
    )
    whole.ImageType, whole.InstanceNumber = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], 1
    whole.NumberOfFrames = len(slices)
    whole.ContentQualification, whole.BurnedInAnnotation, whole.PresentationLUTShape = "PRODUCT", "NO", "IDENTITY"
    whole.PixelPresentation, whole.VolumetricProperties, whole.VolumeBasedCalculationTechnique = "MONOCHROME", "VOLUME", "NONE"
    whole.AcquisitionDateTime = "20240115100200"
    organisation = _uids(series_instance_uid, "dimensions")["dimensions"]
    whole.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    pointers = _item(DimensionOrganizationUID=organisation, DimensionIndexPointer=0x00209057, FunctionalGroupPointer=0x00209111)
    whole.DimensionIndexSequence = [pointers]
    frame_type = _item(FrameType=list(whole.ImageType), PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME")
    frame_type.VolumeBasedCalculationTechnique = "NONE"
    transformation = _item(RescaleIntercept="0", RescaleSlope="1", RescaleType="HU")
    whole.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=first.PixelSpacing, SliceThickness="4")],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=first.ImageOrientationPatient)],
            CTImageFrameTypeSequence=[frame_type],
        )
    ]
    whole.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[
                _item(StackID="1", InStackPositionNumber=number, DimensionIndexValues=[number], FrameAcquisitionNumber=1)
            ],
            PlanePositionSequence=[_item(ImagePositionPatient=each.ImagePositionPatient)],
            PixelValueTransformationSequence=[transformation],
        )
        for number, each in enumerate(slices, start=1)
    ]
    whole.PixelData = b"".join(each.PixelData for each in slices)
    return whole


def _save(dataset: Dataset, directory: Path, transfer_syntax_uid: str) -> Path:
    path = directory / f"{hashlib.sha256(dataset.SOPInstanceUID.encode()).hexdigest()[:12]}.dcm"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    dataset.file_meta = meta
    syntax = uids.UID(transfer_syntax_uid)
    if syntax in (uids.RLELossless, uids.JPEGLSLossless, uids.JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif not syntax.is_encapsulated:
        meta.TransferSyntaxUID = syntax
        if syntax == uids.ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset.save_as(path, enforce_file_format=True)
    if syntax == uids.JPEGLosslessSV1:
        _to_jpeg_lossless(path)
    return path


def _to_jpeg_lossless(path: Path) -> None:
    """GDCM encodes what pydicom cannot."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
