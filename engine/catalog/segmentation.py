"""Whatever structures a model package of yours segments, in the shape of a MONAI bundle, on CT, MR or PET."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.api import Context, EngineInfo, Refusal
from engine.findings import Algorithm, Code, Findings, Outcome, Segment
from engine.geometry.words import count
from engine.models import METADATA_FILE, ModelPackage, ModelPackageError, algorithm_of, load_package
from engine.runtime import LabelMap, Segmenter
from engine.volume import Volume

FEWEST_SLICES = 4

_CATEGORY = Code("91723000", "SCT", "Anatomical Structure")
_COLOURS = ((230, 60, 60), (60, 180, 90), (70, 130, 230), (240, 160, 40), (180, 90, 220), (40, 190, 200))

_Triplet = tuple[str, str, str]
"""Code Value, Coding Scheme Designator, Code Meaning."""


class Structure(BaseModel):
    """One of the package's labels in the codes of a report; `structures` in metadata.json lists them.

    Attributes:
        label: its name in `labels`.
        code: of the Segmented Property Type (PS3.3 C.8.20.2), such as ["10200004", "SCT", "Liver"].
        category: of the Segmented Property Category.
        laterality, region: Anatomic Region with its modifier, where the type does not say them.
        minimum_ml: what is smaller is not reported.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    code: _Triplet
    category: _Triplet | None = None
    laterality: _Triplet | None = None
    region: _Triplet | None = None
    minimum_ml: float = Field(default=0.1, gt=0)


class _Structures(BaseModel):
    structures: tuple[Structure, ...] = Field(min_length=1)


class Segmentation:
    """Segments with one network, in one go from the series' voxels to its own grid."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="segmentation",
        title="segmentation",
        content_label="SEGMENTATION",
        modalities=("CT", "MR", "PT"),
        finding_category=_CATEGORY,
        finding_type=_CATEGORY,
        procedure_reported=Code("363679005", "SCT", "Imaging procedure"),
    )

    def __init__(self, context: Context) -> None:
        """Load the weights.

        Options: `package`, the directory of a model package whose metadata.json lists its `structures`.

        Raises:
            engine.models.ModelPackageError: there is no package, it is damaged or changed, or does not say its structures.
        """
        self._context = context
        if "package" not in context.options:
            raise ModelPackageError('the engine segmentation has no model of its own: set package = "/folder" in its block')
        self._package = load_package(Path(context.options["package"]), ("SPL", "RAS"))
        self._structures = _structures(self._package)
        self._names = ", ".join(structure.label for structure in self._structures.values())
        self._segmenter = Segmenter(self._package, context.device, context.memory_limit_bytes)

    def algorithm(self) -> Algorithm:
        return algorithm_of(self._package, device=self._segmenter.ran_on, parameters=f"structures: {self._names}")

    def analyse(self, volume: Volume) -> Findings:
        """Every structure of the package on the volume's own grid.

        Raises:
            Refusal: another modality than the package's, or too few slices.
        """
        modality = self._package.metadata.modality
        if volume.modality != modality:
            raise Refusal(f"The model was made for {modality}; this series is {volume.modality or 'of unknown modality'}.")
        if len(volume.voxels) < FEWEST_SLICES:
            raise Refusal(f"Only {count(len(volume.voxels), 'slice')}; the model needs at least {FEWEST_SLICES}.")
        found = self._segmenter.labels(volume, self._context.progress)
        segments = self._segments(volume, found)
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.FINDINGS if segments else Outcome.NOTHING_FOUND,
            segments=segments,
            finding_category=_CATEGORY,
            finding_type=self.info.finding_type,
            reason="" if segments else f"None of these was found: {self._names}.",
            remarks=volume.remarks,
            timings_s=found.timings_s,
        )

    def _segments(self, volume: Volume, found: LabelMap) -> tuple[Segment, ...]:
        sizes = np.bincount(found.labels.ravel(), minlength=len(self._package.metadata.labels))
        return tuple(
            Segment(
                key=structure.label.replace(" ", "-"),
                label=structure.label,
                mask=mask,
                category=_code(structure.category) or _CATEGORY,
                property_type=Code(*structure.code),
                laterality=_code(structure.laterality),
                anatomic_region=_code(structure.region),
                colour_rgb=_COLOURS[(index - 1) % len(_COLOURS)],
            )
            for index, structure in self._structures.items()
            if sizes[index] and volume.volume_ml(mask := found.labels == index) >= structure.minimum_ml
        )


def _code(triplet: _Triplet | None) -> Code | None:
    return None if triplet is None else Code(*triplet)


def _structures(package: ModelPackage) -> dict[int, Structure]:
    """By the index of their label; labels without a structure are not reported."""
    file, labels = package.path / METADATA_FILE, package.metadata.labels
    try:
        listed = _Structures.model_validate(package.metadata.model_extra or {}).structures
    except ValidationError as error:
        raise ModelPackageError(f"{file} does not list its `structures` with their codes: {error}") from error
    unknown = [structure.label for structure in listed if structure.label not in labels[1:]]
    if unknown:
        raise ModelPackageError(f"{file}: the structures {unknown} are none of its labels {list(labels[1:])}")
    return {labels.index(structure.label): structure for structure in listed}
