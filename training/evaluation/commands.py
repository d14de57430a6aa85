"""What the command evaluate does, free of the command line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.loading import EngineNotFoundError, engine_class
from engine.models import ModelPackageError
from training.errors import TrainingError
from training.evaluation.cases import LabelledVolume
from training.evaluation.document import Report
from training.evaluation.images import evaluate_images, folder_images, phantom_images
from training.evaluation.labelled_data import DataWords, holds_patches, volumes_of
from training.evaluation.nodules import ENGINE as NODULES
from training.evaluation.nodules import evaluate_nodules
from training.evaluation.phantoms import FIRST_HELD_OUT_SEED, phantom_cases
from training.evaluation.run import CaseResult
from training.evaluation.subject import Subject
from training.evaluation.volumes import evaluate_volumes
from training.evaluation.writing import write_report

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
    roles: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    module: str = ""
    device: str = "auto"
    modality: str = "CT"
    spacing_mm: str = "1,1,1"
    window: str = ""
    tolerance_mm: float = 2.0


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
    options = _pairs(request.options, "--option")
    subject = Subject(request.engine, request.package, request.module, request.device, options)
    champion = None if request.champion is None else replace(subject, package=request.champion)
    if hasattr(engine_class(request.engine, request.module), "analyse_images"):
        images = folder_images(request.data) if request.data is not None else phantom_images(request.phantoms)
        report = evaluate_images(subject, champion, list(images), _data_in_words(request))
    elif request.data is not None and holds_patches(request.data):
        if request.engine != NODULES:
            raise TrainingError(f"{request.data} holds patches around findings; only {NODULES} can be evaluated on those")
        report = evaluate_nodules(subject, champion, request.data, _words(request))
    else:
        cases, data = _cases(request)
        report = evaluate_volumes(subject, champion, cases, data, lambda result: say(_line(result)), request.tolerance_mm)
    write_report(report, request.output)
    return report


def _cases(request: EvaluationRequest) -> tuple[Callable[[], Iterable[LabelledVolume]], tuple[str, ...]]:
    """What gives the cases anew at each call, and what they are in words."""
    if request.data is None:
        return (lambda: phantom_cases(request.engine, request.phantoms)), (_data_in_words(request),)
    path, known = request.data, _words(request)
    return (lambda: volumes_of(path, known)), (_data_in_words(request),)


def _data_in_words(request: EvaluationRequest) -> str:
    if request.data is None:
        return f"{request.phantoms} phantoms of seeds from {FIRST_HELD_OUT_SEED}, which no recipe trains on or chooses by."
    return f"Labelled examinations of {request.data.name!r}."


def _words(request: EvaluationRequest) -> DataWords:
    slices, rows, columns = _numbers(request.spacing_mm, 3, "--spacing-mm")
    low_high = _numbers(request.window, 2, "--window") if request.window else None
    roles = _pairs(request.roles, "--role")
    if any(not channel.isdecimal() for channel in roles.values()):
        raise TrainingError("--role: write it as role=number of the channel, such as t1c=1")
    return DataWords(
        labels={label: _structures(told, label) for label, told in _pairs(request.labels, "--label").items()},
        roles={role: int(channel) for role, channel in roles.items()},
        modality=request.modality,
        spacing_mm=(slices, rows, columns),
        window=None if low_high is None else (low_high[0], low_high[1]),
    )


def _numbers(text: str, count: int, option: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise TrainingError(f"{option} {text}: write {count} numbers with commas between them")
    return numbers


def _pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key or not value:
            raise TrainingError(f"{option} {text}: write it as name=value")
        if key in pairs:
            raise TrainingError(f"{option} {text}: {key} was told to be {pairs[key]} already; name each one once")
        pairs[key] = value
    return pairs


def _structures(told: str, label: str) -> tuple[str, ...]:
    structures = tuple(told.split("+"))
    if not all(structures):
        raise TrainingError(f"--label {label}={told}: write several structures with + between them, such as 2=liver+lesion")
    return structures


def _line(result: CaseResult) -> str:
    dices = ", ".join(f"{score.structure} {score.dice:.3f}" for score in result.structures)
    return f"{result.key}: {result.outcome}, {dices or 'nothing to score'} ({result.seconds:.1f} s)"
