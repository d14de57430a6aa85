"""The report of an engine for projection images: every class against the rest, and which classes are mistaken for which."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from engine.api import ProjectionEngine, Refusal
from engine.findings import ImageFinding
from engine.projection import ProjectionImage
from engine.reading import read_images
from engine.volume import SliceReference
from training.errors import TrainingError
from training.evaluation.cases import ScoredCase
from training.evaluation.classification import classification_section
from training.evaluation.comparison import Comparison, compare_classification, comparison_section, verdict_in_words
from training.evaluation.document import Picture, Report, Section, Table
from training.evaluation.phantoms import FIRST_HELD_OUT_SEED
from training.evaluation.plots import plot_confusion
from training.evaluation.subject import Subject, identity_of, name_of
from training.metrics.classification import confusion_table
from training.phantoms.projection import PIXEL_SPACING_MM, VARIANTS, radiograph
from training.readers.labelled_case import pseudonym

PROBABILITY = "Probability of "
MODEL = "network"
HEALTHY, OPACITY = "no large opacity", "large opacity"
"""Classes of the shipped example, whose phantoms these are."""


@dataclass(frozen=True)
class LabelledImage:
    """One image and its class, named as the package names it."""

    key: str
    patient: str
    image: ProjectionImage
    kind: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What an engine said of an image: the probability of each class."""

    case: LabelledImage
    probabilities: Mapping[str, float]


def evaluate_images(subject: Subject, champion: Subject | None, cases: Sequence[LabelledImage], data: str) -> Report:
    """The report, with a champion beside it if wanted.

    Raises:
        TrainingError: the engine refuses every image, or does not know the classes of the data, or the champion's are others.
    """
    engine: ProjectionEngine = subject.load()  # type: ignore[assignment]  # the caller has looked
    answers, refusals = _answers(engine, cases)
    classes = _classes(answers, cases)
    sections = [classification_section(_scored(answers, each), each, _rest(each, classes)) for each in _told(classes)]
    sections.append(_mistaken(answers, classes, refusals))
    verdict = ""
    if champion is not None:
        rival: ProjectionEngine = champion.load()  # type: ignore[assignment]
        others, _ = _answers(rival, cases)
        comparisons = _compared(others, answers, cases, _told(classes))
        sections.insert(0, comparison_section(comparisons, name_of(rival), (_refused(others, answers, cases),)))
        verdict = verdict_in_words(comparisons)
    return Report(
        title=f"Evaluation of {engine.info.title}",
        identity=identity_of(engine),
        data=(data, f"{len(cases)} images of {len({case.patient for case in cases})} patients, {len(refusals)} refused."),
        sections=tuple(sections),
        verdict=verdict,
        details={"cases": [{"case": a.case.key, "class": a.case.kind, "scores": dict(a.probabilities)} for a in answers]},
    )


def phantom_images(count: int) -> Iterator[LabelledImage]:
    """Synthetic radiographs of patients that no recipe trains on, half of them with a large opacity."""
    for seed in range(FIRST_HELD_OUT_SEED * VARIANTS, FIRST_HELD_OUT_SEED * VARIANTS + count):
        made = radiograph(seed)
        image = ProjectionImage(made.pixels, made.window, PIXEL_SPACING_MM, "DX", "PA", "", SliceReference(f"2.25.{seed}"))
        kind = HEALTHY if made.kind == "healthy" else OPACITY
        yield LabelledImage(f"phantom-{seed}", f"phantom-{seed // VARIANTS}", image, kind, {"kind": made.kind})


def folder_images(folder: Path) -> Iterator[LabelledImage]:
    """DICOM images below folders that are named as the package's classes; cases are numbered, patients are pseudonyms.

    Raises:
        TrainingError: there is no such image.
    """
    number = 0
    for file in sorted(file for file in folder.glob("*/**/*") if file.is_file()):
        try:
            header = dcmread(file, stop_before_pixels=True)
            images = read_images([file])
        except (InvalidDicomError, Refusal):
            continue
        patient = pseudonym(str(header.get("PatientID", "")) or str(header.get("StudyInstanceUID", "")))
        for image in images:
            number += 1
            kind = file.relative_to(folder).parts[0]
            yield LabelledImage(f"image-{number}", patient, image, kind, {"maker": str(header.get("Manufacturer") or "")})
    if not number:
        raise TrainingError(f"{folder} holds no DICOM image in folders named as the classes")


def _answers(engine: ProjectionEngine, cases: Iterable[LabelledImage]) -> tuple[list[Answer], list[str]]:
    answers, refusals = [], []
    for case in cases:
        try:
            (finding,) = engine.analyse_images([case.image]).images
        except Refusal as refusal:
            refusals.append(f"{case.key}: {refusal}")
        else:
            answers.append(Answer(case, _probabilities(finding)))
    return answers, refusals


def _probabilities(finding: ImageFinding) -> dict[str, float]:
    return {
        measurement.name.meaning.removeprefix(PROBABILITY): measurement.value
        for measurement in finding.measurements
        if measurement.name.meaning.startswith(PROBABILITY)
    }


def _classes(answers: Sequence[Answer], cases: Sequence[LabelledImage]) -> list[str]:
    if not answers:
        raise TrainingError(f"the engine refused all of {len(cases)} images")
    classes = list(answers[0].probabilities)
    unknown = sorted({case.kind for case in cases} - set(classes))
    if unknown:
        raise TrainingError(f"the package has no class {', '.join(unknown)}; its classes: {', '.join(classes)}")
    return classes


def _told(classes: Sequence[str]) -> Sequence[str]:
    """Of two classes one says it all."""
    return classes if len(classes) > 2 else classes[-1:]


def _rest(kind: str, classes: Sequence[str]) -> str:
    return classes[0] if len(classes) == 2 else f"not {kind}"


def _scored(answers: Sequence[Answer], kind: str) -> list[ScoredCase]:
    return [
        ScoredCase(
            answer.case.key,
            answer.case.patient,
            answer.case.kind == kind,
            {MODEL: answer.probabilities[kind]},
            answer.case.attributes,
        )
        for answer in answers
    ]


def _compared(
    champion: Sequence[Answer], challenger: Sequence[Answer], cases: Sequence[LabelledImage], told: Sequence[str]
) -> list[Comparison]:
    """One comparison for each class over the images that either of the two answered.

    Raises:
        TrainingError: the champion tells other classes apart.
    """
    if champion and (unknown := [kind for kind in told if kind not in champion[0].probabilities]):
        raise TrainingError(f"the champion has no class {', '.join(unknown)}: it cannot be compared with this package")
    answered = {answer.case.key for answer in (*champion, *challenger)}
    common = [case for case in cases if case.key in answered]
    return [
        compare_classification(
            _scored(_completed(champion, common, told), kind),
            _scored(_completed(challenger, common, told), kind),
            MODEL,
            of=kind if len(told) > 1 else "",
            among=len(told),
        )
        for kind in told
    ]


def _completed(answers: Sequence[Answer], cases: Sequence[LabelledImage], told: Sequence[str]) -> list[Answer]:
    """An answer for every image, in their order; what was refused is answered wrong: never its own class, always the others."""
    given = {answer.case.key: answer for answer in answers}
    return [given.get(case.key) or Answer(case, {kind: float(kind != case.kind) for kind in told}) for case in cases]


def _refused(champion: Sequence[Answer], challenger: Sequence[Answer], cases: Sequence[LabelledImage]) -> str:
    counts = [len(cases) - len(answers) for answers in (champion, challenger)]
    return (
        f"Refused: {counts[0]} of {len(cases)} images by the champion, {counts[1]} by the challenger. What one of them alone "
        "refuses counts for it as answered wrong; what both refuse is left out."
    )


def _mistaken(answers: Sequence[Answer], classes: Sequence[str], refusals: Sequence[str]) -> Section:
    truth = np.array([classes.index(answer.case.kind) for answer in answers])
    said = np.array([int(np.argmax([answer.probabilities[each] for each in classes])) for answer in answers])
    table = confusion_table(truth, said, len(classes))
    rows = tuple((kind, *(str(count) for count in counts)) for kind, counts in zip(classes, table, strict=True))
    right = int(np.trace(table))
    return Section(
        title="Which class for which",
        text=(f"{right} of {len(answers)} images got their own class as the most probable one.", *refusals),
        tables=(Table("Images by true class (rows) and most probable class", ("", *classes), rows),),
        pictures=(Picture("The same.", plot_confusion(table, classes)),),
    )
