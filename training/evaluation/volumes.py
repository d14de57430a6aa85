"""The report of an engine on whole examinations, and of its champion beside it."""

import math
from collections.abc import Callable, Iterable

from training.evaluation.cases import LabelledVolume
from training.evaluation.comparison import (
    Comparison,
    compare_segmentation,
    comparison_section,
    verdict_in_words,
    what_dice_leaves_out,
)
from training.evaluation.detection import detection_section
from training.evaluation.document import Report, Section
from training.evaluation.run import CaseResult, Watch, run
from training.evaluation.segmentation import segmentation_section
from training.evaluation.subject import Subject, identity_of, name_of

TOLERANCE_MM = 2.0


def evaluate_volumes(
    subject: Subject,
    champion: Subject | None,
    cases: Callable[[], Iterable[LabelledVolume]],
    data: tuple[str, ...],
    watch: Watch = lambda result: None,
    tolerance_mm: float = TOLERANCE_MM,
) -> Report:
    """The report of an engine on labelled volumes, and the comparison with a champion where there is one.

    Args:
        subject: the engine to report on; the challenger.
        champion: what it would replace.
        cases: gives the cases anew at each call.
        data: what the cases are, in sentences.
        watch: called after each case.
        tolerance_mm: of the surface Dice.
    """
    engine = subject.load()
    results = run(engine, cases(), tolerance_mm, watch)
    chapters = [segmentation_section(results, tolerance_mm), detection_section(results)]
    comparisons: list[Comparison] = []
    if champion is not None:
        rival = champion.load()
        others = run(rival, cases(), tolerance_mm, watch)
        comparisons = compare_segmentation(others, results)
        chapters.insert(0, comparison_section(comparisons, name_of(rival), what_dice_leaves_out(others, results)))
    return Report(
        title=f"Evaluation of {engine.info.title}",
        identity=identity_of(engine),
        data=(*data, _counted(results)),
        sections=tuple(chapter for chapter in chapters if isinstance(chapter, Section)),
        verdict="" if champion is None else verdict_in_words(comparisons),
        details={"cases": [_case(result) for result in results], "comparisons": [str(item) for item in comparisons]},
    )


def _counted(results: list[CaseResult]) -> str:
    outcomes = [result.outcome for result in results]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
    return f"{len(results)} cases of {len({result.patient for result in results})} patients: {counts}."


def _case(result: CaseResult) -> dict[str, object]:
    """One case for programs; the pictures stand in the page alone."""
    return {
        "case": result.key,
        "patient": result.patient,
        "attributes": dict(result.attributes),
        "outcome": result.outcome,
        "reason": result.reason,
        "seconds": round(result.seconds, 2),
        "structures": {
            score.structure: {
                "dice": score.dice,
                "iou": score.iou,
                "surface_dice": score.surface_dice,
                "hausdorff_95_mm": _or_null(score.hausdorff_95_mm),
                "truth_ml": score.truth_ml,
                "found_ml": score.found_ml,
            }
            for score in result.structures
        },
    }


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
