"""One engine on one series and its companions: files in, result files out. Runs in the inference child, and in `infer`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.model import Result
from dicom_node.report import (
    Analysed,
    ReportContext,
    ResultIdentity,
    check_results,
    draw_overlay,
    make_results,
    write_results,
)
from engine.api import AnyEngine, CompanionEngine, Context, ProjectionEngine, Refusal
from engine.findings import Findings, ImageFinding, Outcome, Segment
from engine.loading import load_engine
from engine.reading import read_images, read_series
from engine.volume import Volume

Progress = Callable[[str, float], None]
OVERLAY_NAME = "overlay.png"
SMALL_ML = 10.0
FAILED = " failed"
"""Ends the input digest of a result that only says that the analysis failed: a later one that succeeds has other UIDs."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and how it is configured.

    Attributes:
        memory_limit_bytes: what one pass of a network may take; None for what usually fits.
    """

    name: str
    module: str = ""
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AnalysisTask:
    """What the inference child is told.

    Attributes:
        paths: the series' files, in any order.
        directory: where the result files go.
        companions: files of other series of the study, by the role that they play for the engine.
        failure: if not empty, nothing is inferred: the result says that the analysis failed, and this is why.
        fallbacks: whether the forms are made too that a destination may take instead of the preferred one.
    """

    paths: tuple[Path, ...]
    engine: EngineSpec
    identity: ResultIdentity
    directory: Path
    failure: str = ""
    fallbacks: bool = True
    companions: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """What a table shows of a segment, or of a claim about an image; that has no volume."""

    label: str
    volume_ml: float | None
    measurements: tuple[tuple[str, float, str], ...] = ()
    evaluations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """What came of a task.

    Attributes:
        problems: what the node's own check found wrong; such a result is held, not sent.
        summary: one line for tables and logs.
        device: where the engine ran.
        timings_s: seconds per step.
        overlay: a PNG of three slices with the segments drawn, where there is something to draw.
    """

    results: tuple[Result, ...]
    outcome: Outcome
    problems: tuple[str, ...]
    summary: str
    found: tuple[FindingFacts, ...]
    remarks: tuple[str, ...]
    device: str
    timings_s: Mapping[str, float]
    overlay: Path | None


class Analyst:
    """Keeps engines loaded between tasks.

    Args:
        warm_engines: how many at most; the one that was used longest ago goes first.
    """

    def __init__(self, warm_engines: int = 2) -> None:
        self._warm_engines = warm_engines
        self._engines: dict[str, AnyEngine] = {}

    def __call__(self, task: AnalysisTask, progress: Progress) -> Analysis:
        """Read, infer, report, check.

        Raises:
            Exception: whatever an engine or a library raises; the caller settles the task's outcome.
        """
        clock = _Clock(progress)
        engine = self._engine(task.engine, progress)
        clock.done("load")
        findings, analysed = _findings(engine, task, clock)
        sources = [_header(path) for path in task.paths]
        companions = [_header(path) for paths in task.companions.values() for path in paths]
        made = make_results(findings, analysed, sources, _context(task, engine), companions)
        results = write_results([m for m in made if task.fallbacks or m.rank == 0], task.directory)
        overlay = None
        if isinstance(analysed, Volume) and findings.segments:
            overlay = task.directory / OVERLAY_NAME
            draw_overlay(analysed, findings, overlay)
        clock.done("report")
        problems = check_results(results, sources, analysed, findings, companions)
        clock.done("check")
        return _analysis(results, findings, analysed, problems, clock.seconds, overlay)

    def _engine(self, spec: EngineSpec, progress: Progress) -> AnyEngine:
        key = repr(spec)
        engine = self._engines.pop(key, None)
        while engine is None and len(self._engines) >= self._warm_engines:
            del self._engines[next(iter(self._engines))]
        context = Context(spec.device, dict(spec.options), progress, spec.memory_limit_bytes)
        engine = engine or load_engine(spec.name, context, spec.module)
        self._engines[key] = engine
        return engine


def _findings(engine: AnyEngine, task: AnalysisTask, clock: "_Clock") -> tuple[Findings, Analysed]:
    """What the engine claims, and of what; a refusal is a claim too."""
    if task.failure:
        return _nothing(engine, task.failure), None
    analysed: Analysed = None
    try:
        if isinstance(engine, ProjectionEngine):
            analysed = read_images(task.paths)
            clock.done("read")
            findings = engine.analyse_images(analysed)
            clock.done("infer")
            return findings, analysed
        analysed = read_series(task.paths)
        companions, remarks = _companions(task)
        clock.done("read")
        findings = (
            engine.analyse_with(analysed, companions) if isinstance(engine, CompanionEngine) else engine.analyse(analysed)
        )
        clock.done("infer")
    except Refusal as refusal:
        return _nothing(engine, str(refusal)), analysed
    told = dict.fromkeys((*analysed.remarks, *remarks, *findings.remarks))
    return replace(findings, remarks=tuple(told)), analysed


def _companions(task: AnalysisTask) -> tuple[dict[str, Volume], list[str]]:
    """The other series by role; one that cannot be read is left out, and the reason is a remark."""
    read: dict[str, Volume] = {}
    remarks = []
    for role, paths in task.companions.items():
        number = _header(paths[0]).get("SeriesNumber")
        try:
            read[role] = read_series(paths)
            remarks.append(f"Series {'without a number' if number is None else number} was used as {role}.")
        except Refusal as refusal:
            remarks.append(f"The series for {role} was not used: {refusal}")
    return read, remarks


class _Clock:
    """Seconds per step, told as progress too."""

    STEPS = ("load", "read", "infer", "report", "check")

    def __init__(self, progress: Progress) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._last = time.monotonic()

    def done(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._last, 3)
        self._last = now
        self._progress(step, (self.STEPS.index(step) + 1) / len(self.STEPS))


def _nothing(engine: AnyEngine, reason: str) -> Findings:
    return Findings(
        engine.algorithm(),
        Outcome.NOT_ANALYSED,
        finding_category=engine.info.finding_category,
        finding_type=engine.info.finding_type,
        reason=reason,
    )


def _header(path: Path) -> Dataset:
    """Without pixel data; with the UIDs that some writers put into the file meta information alone."""
    dataset = dcmread(path, stop_before_pixels=True)
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword):
            setattr(dataset, keyword, dataset.file_meta[f"MediaStorage{keyword}"].value)
    return dataset


def _context(task: AnalysisTask, engine: AnyEngine) -> ReportContext:
    identity = task.identity
    if task.failure:
        identity = replace(identity, input_digest=identity.input_digest + FAILED)
    return ReportContext(engine.info, identity)


def _facts(found: Segment | ImageFinding, volume_ml: float | None) -> FindingFacts:
    measured = tuple((m.name.meaning, m.value, m.unit.value) for m in found.measurements)
    judged = tuple((e.name.meaning, e.value if isinstance(e.value, str) else e.value.meaning) for e in found.evaluations)
    return FindingFacts(found.label, volume_ml, measured, judged)


def _all_facts(findings: Findings, analysed: Analysed) -> tuple[FindingFacts, ...]:
    if isinstance(analysed, Volume):
        return tuple(_facts(segment, analysed.volume_ml(segment.mask)) for segment in findings.segments)
    return tuple(_facts(finding, None) for finding in findings.images)


def _in_words(facts: FindingFacts) -> str:
    """For one line of a table or log."""
    if facts.volume_ml is None:
        told = [f"{value:.3g} {unit}" for _, value, unit in facts.measurements] + [value for _, value in facts.evaluations]
        return " ".join([facts.label, *told[:1]])
    size = f"{facts.volume_ml:.0f} ml" if facts.volume_ml >= SMALL_ML else f"{facts.volume_ml:.2f} ml"
    return f"{facts.label} {size}"


def _analysis(
    results: Sequence[Result],
    findings: Findings,
    analysed: Analysed,
    problems: Sequence[str],
    timings_s: Mapping[str, float],
    overlay: Path | None,
) -> Analysis:
    facts = _all_facts(findings, analysed)
    words = ", ".join(map(_in_words, facts))
    summary = words if findings.outcome is Outcome.FINDINGS else f"{findings.outcome.value}: {findings.reason}"
    return Analysis(
        tuple(results),
        findings.outcome,
        tuple(problems),
        summary,
        facts,
        tuple(findings.remarks),
        findings.algorithm.device,
        dict(timings_s),
        overlay,
    )
