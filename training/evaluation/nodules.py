"""The report of nodule-malignancy on patches: how well malignancy is told, how well nodules are drawn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.errors import TrainingError
from training.evaluation.cases import ScoredCase
from training.evaluation.classification import classification_section
from training.evaluation.comparison import compare_classification, comparison_section, verdict_in_words
from training.evaluation.document import Figure, Report, Section
from training.evaluation.labelled_data import DataWords, read_patches
from training.evaluation.nodule_patches import MEAN, MODELS, PatchResult, judge_patches, load_judge, patches_of
from training.evaluation.subject import Subject, identity_of, name_of
from training.metrics.intervals import bootstrap_mean

ENGINE = "nodule-malignancy"


def evaluate_nodules(subject: Subject, champion: Subject | None, data: Path, words: DataWords) -> Report:
    """Feature model and network on rated nodules; the mean of both is what the verdict rests on.

    Raises:
        TrainingError: the data hold no rated nodules, or none of one class.
    """
    engine = subject.load()
    results = _judged(subject, data, words)
    cases = [result.case for result in results]
    sections = [classification_section(cases, "malignant", "benign"), drawing_section(results)]
    verdict = ""
    if champion is not None:
        rivals = [result.case for result in _judged(champion, data, words)]
        comparisons = [compare_classification(rivals, cases, model) for model in MODELS]
        sections.insert(
            0, comparison_section(comparisons, name_of(champion.load()), (f"The verdict rests on the {MEAN} alone.",))
        )
        verdict = verdict_in_words([comparison for comparison in comparisons if comparison.of == MEAN])
    return Report(
        title=f"Evaluation of {engine.info.title} on patches",
        identity=identity_of(engine),
        data=(f"Rated nodules of {data.name!r}; where readers were uncertain a nodule is left out.",),
        sections=tuple(sections),
        verdict=verdict,
        details={"cases": [_case(case) for case in cases]},
    )


def drawing_section(results: Sequence[PatchResult]) -> Section:
    """How many nodules were drawn at all, and how well."""
    patients = [result.case.patient for result in results]
    drawn = np.array([float(result.drawn) for result in results])
    overlaps = np.array([result.dice for result in results])
    return Section(
        title="Drawing",
        text=("A nodule that is not drawn has probability 0 and Dice 0.",),
        figures=(
            Figure("share drawn", "nodule", bootstrap_mean(drawn, patients)),
            Figure("Dice", "nodule", bootstrap_mean(overlaps, patients)),
        ),
    )


def _judged(subject: Subject, data: Path, words: DataWords) -> list[PatchResult]:
    results = list(
        judge_patches(load_judge(subject.package, subject.device), patches_of(read_patches(data, words), words.window))
    )
    if len({result.case.positive for result in results}) < 2:
        raise TrainingError(f"{data} holds {len(results)} rated nodules, and not both of malignant and benign ones")
    return results


def _case(case: ScoredCase) -> dict[str, object]:
    return {"case": case.key, "patient": case.patient, "positive": case.positive, "scores": dict(case.scores)}
