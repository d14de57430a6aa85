"""One image with its labels, whatever the files were."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float64, Shaped, UInt8

from engine.volume import SliceReference, Volume
from training.errors import LabelError

MOST_LABELS = 255
_INT16 = np.iinfo(np.int16)


@dataclass(frozen=True, slots=True)
class Lesion:
    """What is known of one labelled thing beside its outline.

    Attributes:
        label: its value in the labels.
        ratings: by name (malignancy 1-5 ...), the mean over the readers.
        readers: how many people outlined it.
    """

    name: str
    label: int
    ratings: Mapping[str, float] = field(default_factory=dict)
    readers: int = 1


@dataclass(frozen=True)
class LabelledCase:
    """An image, the label of each voxel, and what groups and names it.

    Attributes:
        name: of the case: a number, or the end of its UID; it stands in reports, so it is no file's name.
        patient: a pseudonym, to keep the cases of one patient on one side of a split.
        image: HU for CT, else as stored; a leading axis where there are several channels.
        labels: 0 where nothing is labelled, else an index of `structures`.
        affine: (slice, row, column, 1) to LPS mm.
        structures: name of each label, background first.
    """

    name: str
    patient: str
    image: Shaped[np.ndarray, "*channels slices rows columns"]
    labels: UInt8[np.ndarray, "slices rows columns"]
    affine: Float64[np.ndarray, "4 4"]
    modality: str
    structures: tuple[str, ...]
    lesions: tuple[Lesion, ...] = ()

    def __post_init__(self) -> None:
        """Refuse labels of another shape, and labels without a name.

        Raises:
            LabelError: they do not fit.
        """
        if self.image.shape[-3:] != self.labels.shape:
            raise LabelError(f"{self.name}: the image has {self.image.shape[-3:]} voxels, its labels {self.labels.shape}")
        if int(self.labels.max(initial=0)) >= len(self.structures):
            raise LabelError(f"{self.name}: label {self.labels.max()} has no name among {', '.join(self.structures)}")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices, rows, columns."""
        slices, rows, columns = (float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))
        return slices, rows, columns

    def volume(self, channel: int = 0) -> Volume:
        """One channel as what engines read, so that training and inference resample in the same way.

        Raises:
            LabelError: rows and columns are not at right angles.
        """
        image = self.image if self.image.ndim == 3 else self.image[channel]
        return as_volume(image, self.affine, self.modality, self.name)


def as_volume(values: np.ndarray, affine: Float64[np.ndarray, "4 4"], modality: str, name: str) -> Volume:
    """Values on the regular grid of an affine; what int16 cannot hold is scaled, and `value_scale` says how.

    The values of CT are HU and are only rounded.

    Raises:
        LabelError: rows and columns are not at right angles, or values of CT are beyond int16.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    down, across = affine[:3, 1] / steps[1], affine[:3, 2] / steps[2]
    if abs(float(down @ across)) > 1e-3:
        raise LabelError(f"{name}: rows and columns are not at right angles: resample it to a rectangular grid first")
    voxels, scale = (_whole_hu(values, name), 1.0) if modality == "CT" else _int16(values)
    positions = affine[:3, 3] + np.arange(len(values))[:, None] * affine[:3, 0]
    if float(np.cross(across, down) @ affine[:3, 0]) < 0:  # slices ascend along the normal in a Volume
        voxels, positions = voxels[::-1], positions[::-1]
    return Volume(
        voxels=np.ascontiguousarray(voxels),
        positions_mm=np.ascontiguousarray(positions),
        row_direction=across,
        column_direction=down,
        pixel_spacing_mm=(float(steps[1]), float(steps[2])),
        slice_thickness_mm=float(steps[0]),
        modality=modality,
        slices=tuple(SliceReference(f"2.25.{index}") for index in range(len(values))),
        value_scale=scale,
    )


def _whole_hu(values: np.ndarray, name: str) -> np.ndarray:
    if values.min() < _INT16.min or values.max() > _INT16.max:
        raise LabelError(f"{name}: values from {values.min():g} to {values.max():g} are no HU: convert them")
    whole = values if np.issubdtype(values.dtype, np.integer) else np.rint(values)
    return whole.astype(np.int16)


def _int16(values: np.ndarray) -> tuple[np.ndarray, float]:
    if np.issubdtype(values.dtype, np.integer) and values.min() >= _INT16.min and values.max() <= _INT16.max:
        return values.astype(np.int16), 1.0
    largest = float(np.abs(values).max())
    scale = largest / _INT16.max if largest > _INT16.max or largest < 1000 else 1.0
    scale = scale or 1.0
    return np.rint(values / scale).astype(np.int16), scale


def in_hu(case: LabelledCase, window: tuple[float, float] | None = None) -> LabelledCase:
    """The case in HU: as it is where a value is no eight bits, else read through a window.

    Args:
        case: of CT; HU hold air, which is negative.
        window: the values that 0 and 255 stand for.

    Raises:
        LabelError: the image has eight bits and no window is given.
    """
    if case.image.min() < 0 or case.image.max() > 255:
        return case
    if window is None:
        raise LabelError(
            f"{case.name} has eight bits, which are no HU: tell `evaluate` with --window LOW,HIGH what 0 and 255 stand for; "
            "to train, write the images in HU"
        )
    low, high = window
    return replace(case, image=np.rint(case.image * ((high - low) / 255) + low).astype(np.int16))


def label_map(masks: Mapping[str, Bool[np.ndarray, "slices rows columns"]], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Masks by name as one map of labels, and the names of the labels; where masks overlap the later one holds.

    Raises:
        LabelError: there is none, or there are more than a map can hold.
    """
    if not masks or len(masks) > MOST_LABELS:
        raise LabelError(f"{name}: {len(masks)} structures; between 1 and {MOST_LABELS} can be read")
    labels = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for number, mask in enumerate(masks.values(), start=1):
        labels[mask] = number
    return labels, ("background", *masks)


def pseudonym(patient: str) -> str:
    """A name for grouping that is not the patient's; the same for the same patient.

    It is no protection against somebody who can guess the identifier: keep it with the data.
    """
    return f"patient-{hashlib.sha256(patient.strip().encode()).hexdigest()[:12]}"
