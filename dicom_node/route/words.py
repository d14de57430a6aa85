"""Values and conditions in words that name no patient."""

import json
from collections.abc import Iterable

from dicom_node.config.rules import Condition, Range

LONGEST_VALUE = 40
MOST_VALUES = 3
TECHNICAL = frozenset(
    {
        "AcquisitionType", "BitsStored", "BodyPartExamined", "Columns", "ContrastBolusAgent", "ConvolutionKernel",
        "DiffusionBValue", "EchoTime", "ExposureTime", "FilterType", "GantryDetectorTilt", "ImageOrientationPatient",
        "ImageType", "ImagedNucleus", "InversionTime", "KVP", "MRAcquisitionType", "MagneticFieldStrength",
        "Manufacturer", "ManufacturerModelName", "Modality", "NumberOfFrames", "PatientPosition",
        "PhotometricInterpretation", "PixelSpacing", "ProtocolName", "ReconstructionDiameter", "RepetitionTime", "Rows",
        "SOPClassUID", "SamplesPerPixel", "ScanOptions", "ScanningSequence", "SequenceName", "SequenceVariant",
        "SeriesDescription", "SeriesNumber", "SliceThickness", "SoftwareVersions", "SpacingBetweenSlices",
        "SpiralPitchFactor",
    }
)  # fmt: skip
"""Attributes whose values may stand in logs: they describe the acquisition, not the person."""


def is_technical(keyword: str) -> bool:
    return keyword.rpartition(".")[2] in TECHNICAL


def shown(values: Iterable[str]) -> str:
    """Some of the distinct values, quoted and cut."""
    distinct = sorted(set(values))
    words = [json.dumps(v if len(v) <= LONGEST_VALUE else v[: LONGEST_VALUE - 1] + "…", ensure_ascii=False) for v in distinct]
    return ", ".join(words[:MOST_VALUES]) + (f" and {len(words) - MOST_VALUES} more" if len(words) > MOST_VALUES else "")


def spelled(condition: Condition) -> str:
    """A condition as the file might spell it; what a value is compared with is left out where it could be a person's."""
    told = condition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if condition.attribute and not is_technical(condition.attribute):
        return f"a condition on {condition.attribute}"
    groups = ("all_of", "any_of", "none_of")
    plain = [f"{'in' if key == 'one_of' else key} = {_value(value)}" for key, value in told.items() if key not in groups]
    inner = [f"{key} = [{', '.join(map(spelled, getattr(condition, key)))}]" for key in groups if getattr(condition, key)]
    return "{ " + ", ".join([*plain, *inner]) + " }"


def outside(value: float, bounds: Range, unit: str) -> str:
    """As in `5 mm is more than 3 mm`; nothing if the value is within the bounds."""
    if bounds.holds(value):
        return ""
    if bounds.min is not None and value < bounds.min:
        return f"{value:g}{unit} is less than {bounds.min:g}{unit}"
    return f"{value:g}{unit} is more than {bounds.max:g}{unit}"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items() if inner is not None) + " }"
    return json.dumps(value, ensure_ascii=False)
