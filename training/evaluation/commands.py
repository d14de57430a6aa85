"""What the command evaluate does, free of the command line."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from engine.api import AnyEngine, Context
from engine.loading import EngineNotFoundError, load_engine
from engine.models import ModelPackageError
from training.errors import TrainingError
from training.evaluation.cases import LabelledVolume
from training.evaluation.comparison import Comparison, compare_segmentation, comparison_section, verdict_in_words
from training.evaluation.detection import detection_section
from training.evaluation.document import Report, Section, to_json
from training.evaluation.page import render
from training.evaluation.phantoms import FIRST_HELD_OUT_SEED, phantom_cases
from training.evaluation.run import CaseResult, Watch, run
from training.evaluation.segmentation import segmentation_section

HTML_FILE, JSON_FILE = "report.html", "metrics.json"
TOLERANCE_MM = 2.0
REFUSALS = (TrainingError, EngineNotFoundError, ModelPackageError)
"""What evaluate_request raises for the person at the terminal."""


@dataclass(frozen=True)
class EvaluationRequest:
    """The words of `dicom-node evaluate`."""

    engine: str
    output: Path
    data: Path | None = None
    phantoms: int = 0
    package: Path | None = None
    champion: Path | None = None
    labels: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    module: str = ""
    device: str = "auto"
    tolerance_mm: float = 2.0


@dataclass(frozen=True)
class Subject:
    """What is evaluated: an engine with a model package, the shipped one if None."""

    engine: str
    package: Path | None = None
    module: str = ""
    device: str = "auto"
    options: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> AnyEngine:
        """The engine with this package, warm.

        Raises:
            engine.loading.EngineNotFoundError: there is no such engine.
            engine.models.ModelPackageError: the package is damaged.
        """
        package = {} if self.package is None else {"package": str(self.package)}
        return load_engine(self.engine, Context(device=self.device, options={**self.options, **package}), self.module)


def evaluate_request(request: EvaluationRequest, say: Callable[[str], None]) -> Report:
    """Evaluate, and write the report.

    Args:
        request: what was asked for.
        say: called with a line for each case.

    Raises:
        TrainingError: the request or its data cannot be used.
        engine.loading.EngineNotFoundError: there is no such engine.
        engine.models.ModelPackageError: a package is damaged.
    """
    if (request.data is None) == (not request.phantoms):
        raise TrainingError("say what to evaluate on: either --data FOLDER or --phantoms NUMBER")
    options = dict(_pair(text, "--option") for text in request.options)
    subject = Subject(request.engine, request.package, request.module, request.device, options)
    champion = None if request.champion is None else replace(subject, package=request.champion)
    report = evaluate_volumes(
        subject,
        champion,
        lambda: phantom_cases(request.engine, request.phantoms),
        (f"{request.phantoms} phantoms of seeds from {FIRST_HELD_OUT_SEED}, which no recipe trains on or chooses by.",),
        lambda result: say(_line(result)),
        request.tolerance_mm,
    )
    write_report(report, request.output)
    return report


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
        comparisons = compare_segmentation(run(rival, cases(), tolerance_mm, watch), results)
        chapters.insert(0, comparison_section(comparisons, _name(rival)))
    return Report(
        title=f"Evaluation of {engine.info.title}",
        identity=identity_of(engine),
        data=(*data, _counted(results)),
        sections=tuple(chapter for chapter in chapters if isinstance(chapter, Section)),
        verdict=verdict_in_words(comparisons) if comparisons else "",
        details={"cases": [_case(result) for result in results], "comparisons": [str(item) for item in comparisons]},
    )


def identity_of(engine: AnyEngine) -> dict[str, str]:
    """What says which model this was, without doubt."""
    algorithm = engine.algorithm()
    return {
        "engine": engine.info.name,
        "model": algorithm.name,
        "version": algorithm.version,
        "maker": algorithm.manufacturer,
        "SHA-256 of the weights": algorithm.weights_digest,
        "ran on": algorithm.device,
        "parameters": algorithm.parameters,
        "dicom-node": version("dicom-node"),
    }


def write_report(report: Report, folder: Path) -> None:
    """Write report.html and metrics.json into the folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HTML_FILE).write_text(render(report), encoding="utf-8")
    text = json.dumps(to_json(report), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")


def _pair(text: str, option: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key or not value:
        raise TrainingError(f"{option} {text}: write it as name=value")
    return key, value


def _line(result: CaseResult) -> str:
    dices = ", ".join(f"{score.structure} {score.dice:.3f}" for score in result.structures)
    return f"{result.key}: {result.outcome}, {dices or 'nothing to score'} ({result.seconds:.1f} s)"


def _name(engine: AnyEngine) -> str:
    algorithm = engine.algorithm()
    return f"{algorithm.name} {algorithm.version}, weights {algorithm.weights_digest[:12]}"


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
