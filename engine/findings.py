"""What an engine claims, free of DICOM encoding: the report stage turns it into SEG and SR."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 section 8): Code Value, Coding Scheme Designator, Code Meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Who computed it; the same five values appear in SEG, SR and Contributing Equipment (IHE AIR).

    Attributes:
        weights_digest: SHA-256 of the model's weights in hex; a re-trained model is another device.
        device: where it ran, in words ("CPU, bf16", "NVIDIA H200").
        parameters: what else decides the output, in words.
    """

    name: str
    version: str
    manufacturer: str
    weights_digest: str
    device: str = ""
    parameters: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number about a segment, with its UCUM unit; `derivation` as in (121401, DCM)."""

    name: Code
    value: float
    unit: Code
    derivation: Code | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A judgement that is no number: what was judged, and the answer as a code or in words."""

    name: Code
    value: Code | str


@dataclass(frozen=True)
class Segment:
    """One item of a SEG and one measurement group of the SR.

    Attributes:
        key: stable name within the engine ("left-lung"); tracking UIDs derive from it.
        mask: boolean [slice, row, column] on the source grid.
        measurements: without the volume: the report stage counts that from the mask.
        evaluations: attenuation class, category ... of this segment.
        colour_rgb: recommended display colour, 0-255.
    """

    key: str
    label: str
    mask: np.ndarray
    category: Code
    property_type: Code
    laterality: Code | None = None
    anatomic_region: Code | None = None
    colour_rgb: tuple[int, int, int] = (255, 0, 0)
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageFinding:
    """A claim about one projection image as a whole (CR, DX, MG): there is nothing to outline.

    Attributes:
        key: stable name within the engine and the series; tracking UIDs derive from it.
        image: index of the image in what the engine was given.
    """

    key: str
    label: str
    image: int
    category: Code
    finding_type: Code
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """A heat map of what decided a claim, on a box of the source grid (Grad-CAM).

    Attributes:
        key: of the segment or image finding that it explains.
        label: caption in words, with the method ("Grad-CAM, malignancy of nodule 1").
        heat: 0 (nothing) to 1 (most) at each voxel of the box, on the source grid.
        first: source (slice, row, column) of heat[0, 0, 0]; for projection images the slice is the index of the image.
    """

    key: str
    label: str
    heat: Float32[np.ndarray, "slices rows columns"]
    first: tuple[int, int, int]


class Outcome(Enum):
    """How an analysis ended, for the CAD Processing and Findings Summary (111017, DCM)."""

    FINDINGS = "findings"
    NOTHING_FOUND = "nothing found"
    NOT_ANALYSED = "not analysed"
    PARTLY_ANALYSED = "partly analysed"


@dataclass(frozen=True)
class Findings:
    """The whole answer of one engine about one series.

    Attributes:
        finding_type: what the engine looks for, used where nothing is found or analysed (Lung, Nodule ...).
        reason: why nothing was analysed or found, for the physician; required unless there are findings.
        remarks: limits that hold for this result, for the physician.
        measurements, evaluations: of the examination as a whole (number of nodules, the category of the study ...).
        images: claims about whole projection images.
        explanations: heat maps, sent as secondary capture.
        timings_s: seconds per step, for the log.
    """

    algorithm: Algorithm
    outcome: Outcome
    segments: tuple[Segment, ...] = ()
    finding_category: Code | None = None
    finding_type: Code | None = None
    reason: str = ""
    remarks: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    images: tuple[ImageFinding, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)
