"""Structures outlined for radiotherapy (RT Structure Set)."""

import numpy as np
from jaxtyping import Bool
from pydicom.dataset import Dataset

from engine.volume import Volume
from training.errors import LabelError
from training.readers.outlines import mask_of_outlines

AREAS = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


def masks_of_rtstruct(dataset: Dataset, volume: Volume) -> dict[str, Bool[np.ndarray, "slices rows columns"]]:
    """The mask of each outlined region by its ROI Name; points and open lines have no area and are left out.

    Source: PS3.3 C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour).

    Raises:
        LabelError: the outlines do not lie on the slices of the volume, or there is none.
    """
    names = {int(item.ROINumber): str(item.ROIName) for item in dataset.get("StructureSetROISequence", ())}
    masks: dict[str, Bool[np.ndarray, "slices rows columns"]] = {}
    for item in dataset.get("ROIContourSequence", ()):
        number = int(item.ReferencedROINumber)
        name = names.get(number) or f"ROI {number}"
        found = [_points(contour, name) for contour in item.get("ContourSequence", ()) if _is_area(contour)]
        if found:
            masks[name] = mask_of_outlines(found, volume, f"structure {name!r}")
    if not masks:
        raise LabelError("the RT Structure Set outlines no region: it has only points, or none of its structures was drawn")
    return masks


def _is_area(contour: Dataset) -> bool:
    return str(contour.get("ContourGeometricType", "CLOSED_PLANAR")) in AREAS and len(contour.ContourData) >= 9


def _points(contour: Dataset, name: str) -> np.ndarray:
    values = np.array([float(value) for value in contour.ContourData])
    if len(values) % 3:
        raise LabelError(f"structure {name!r}: an outline of {len(values)} numbers is damaged; points have three each")
    return values.reshape(-1, 3)
