"""Patches of real, rated nodules in the form of the phantoms, so that both networks learn from them too.

Read are folders of LIDC-IDRI (a CT series beside its XML), and npz files of patch arrays in HU at 1 mm (training/readers).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from engine.catalog._nodule_patches import patch_grid, patch_of
from engine.catalog._nodule_risk import PUBLISHED, SizeModel
from engine.catalog._nodule_shape import features_of
from training.distributed import current_group, wait_for_leader
from training.errors import TrainingError
from training.phantoms.nodules import SHAPE, NodulePhantom
from training.phantoms.nodules_lesions import NoduleTruth
from training.readers.labelled_case import LabelledCase, Lesion, in_hu
from training.readers.lidc import read_lidc_series
from training.readers.patch_arrays import read_patch_arrays
from training.run import Run
from training.splits import one_fold

STEP_MM = 0.8
INDEX = "index.json"
MARK_HU = 1000
INDETERMINATE = 3.0
"""Mean ratings within half a point of it are no class."""
FEWEST_RATED = 20


@dataclass(frozen=True)
class RealNodules:
    """Kept patches, by number.

    Attributes:
        numbers: of those to learn from.
    """

    folder: Path
    numbers: tuple[int, ...]

    def load(self, number: int) -> NodulePhantom:
        with np.load(self.folder / f"{number:05d}.npz") as arrays:
            truths = tuple(NoduleTruth(**truth) for truth in json.loads(str(arrays["truths"])))
            return NodulePhantom(arrays["hu"], arrays["labels"], (STEP_MM,) * 3, truths)

    def size_model(self) -> SizeModel:
        """The relation of size to rating among these nodules; the published one where they are few or of one class."""
        truths = [self.load(number).truths[0] for number in self.numbers]
        rated = [(t.diameter_mm, t.malignant > 0.5) for t in truths if t.malignant is not None and t.malignant != 0.5]
        if len(rated) < FEWEST_RATED or len({label for _, label in rated}) < 2:
            return PUBLISHED
        sizes, labels = np.log([size for size, _ in rated])[:, None], [label for _, label in rated]
        model = LogisticRegression(C=1e3).fit(sizes, labels)
        return SizeModel(float(model.coef_[0, 0]), float(model.intercept_[0]))


def real_nodules(run: Run) -> RealNodules | None:
    """The nodules of the run's data outside its fold, read once; None without data.

    Raises:
        TrainingError: the data hold no nodule.
    """
    if run.data is None:
        return None
    folder = run.folder / "real"
    if current_group().leads and not (folder / INDEX).exists():
        _keep(run.data, folder)
    wait_for_leader()
    patients = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    if not patients:
        raise TrainingError(f"{run.data} holds no nodule: give a folder with series of LIDC-IDRI or with npz of patches")
    numbers = one_fold(patients, None, run.fold).train if run.fold else tuple(range(len(patients)))
    return RealNodules(folder, numbers)


def _keep(data: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    patients: list[str] = []
    for case in _cases(data):
        for phantom in _patches(case):
            truths = json.dumps([asdict(truth) for truth in phantom.truths])
            np.savez(folder / f"{len(patients):05d}.npz", hu=phantom.hu, labels=phantom.labels, truths=truths)
            patients.append(case.patient)
    (folder / INDEX).write_text(json.dumps(patients), encoding="utf-8")


def _cases(data: Path) -> Iterator[LabelledCase]:
    for document in sorted(data.rglob("*.xml")):
        yield read_lidc_series(document.parent)
    for arrays in sorted(data.rglob("*.npz")):
        yield from read_patch_arrays(arrays, (1.0, 1.0, 1.0))


def _patches(case: LabelledCase) -> Iterator[NodulePhantom]:
    """A patch around each lesion; its own label comes first."""
    volume = in_hu(case).volume()
    for lesion in case.lesions:
        places = np.argwhere(case.labels == lesion.label)
        if not len(places):
            continue
        centre = (case.affine @ np.append(places.mean(axis=0), 1.0))[:3]
        grid = patch_grid(centre, STEP_MM, SHAPE[0])
        hu = patch_of(volume, grid).round().numpy().astype(np.int16)
        own = replace(case, labels=(case.labels == lesion.label).astype(np.uint8), structures=("", ""), lesions=())
        marks = replace(own, image=own.labels.astype(np.int16) * MARK_HU).volume()
        mask = patch_of(marks, grid).numpy() > MARK_HU / 2
        if mask.any():
            yield NodulePhantom(hu, mask.astype(np.uint8), (STEP_MM,) * 3, (_truth(hu, mask, lesion),))


def _truth(hu: np.ndarray, mask: np.ndarray, lesion: Lesion) -> NoduleTruth:
    features = features_of(hu.astype(np.float32), np.asarray(ndimage.binary_fill_holes(mask)), STEP_MM)
    spiculation, lobulation = (max(0.0, lesion.ratings.get(name, 1.0) - 1) / 4 for name in ("spiculation", "lobulation"))
    rating = lesion.ratings.get("malignancy", INDETERMINATE)
    malignant = 0.5 if abs(rating - INDETERMINATE) < 0.5 else float(rating > INDETERMINATE)
    return NoduleTruth(features.attenuation, features.diameter_mm, spiculation, lobulation, malignant)


def union(synthetic: Sequence[int], real: RealNodules | None, offset: int) -> tuple[int, ...]:
    """The numbers of all cases; those of real ones begin at the offset."""
    return (*synthetic, *(offset + number for number in (real.numbers if real else ())))
