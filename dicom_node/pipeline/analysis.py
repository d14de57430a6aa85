"""One engine on one series: files in, result files out. Runs in the inference child, and in `dicom-node infer`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.model import Result
from dicom_node.report import Equipment, ReportContext, check_results, draw_overlay, make_results, write_results
from engine.api import Context, Engine, Refusal
from engine.findings import Findings, Outcome, Segment
from engine.loading import load_engine
from engine.reading import read_series
from engine.volume import Volume

Progress = Callable[[str, float], None]
OVERLAY_NAME = "overlay.png"
FAILED = " failed"
"""Ends the input digest of a result that only says that the analysis failed: a later one that succeeds has other UIDs."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine, and how it is configured."""

    name: str
    module: str = ""
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultIdentity:
    """Whose result it is and which revision; ReportContext says what each means."""

    study_instance_uid: str
    series_instance_uid: str
    input_digest: str
    as_of: float
    revision: int = 1
    predecessors: tuple[tuple[str, str, str], ...] = ()
    remark: str = ""
    equipment: Equipment = field(default_factory=Equipment)
    series_number_base: int = 9001
    content_qualification: str = "RESEARCH"
    snapshot: bool = False


@dataclass(frozen=True, slots=True)
class AnalysisTask:
    """What the inference child is told.

    Attributes:
        paths: the series' files, in any order.
        directory: where the result files go.
        failure: if not empty, nothing is inferred: the result says that the analysis failed, and this is why.
        fallbacks: whether the forms are made too that a destination may take instead of the preferred one.
    """

    paths: tuple[Path, ...]
    engine: EngineSpec
    identity: ResultIdentity
    directory: Path
    failure: str = ""
    fallbacks: bool = True


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a table shows of a segment."""

    label: str
    volume_ml: float
    measurements: tuple[tuple[str, float, str], ...] = ()


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
    segments: tuple[SegmentFacts, ...]
    remarks: tuple[str, ...]
    device: str
    timings_s: Mapping[str, float]
    overlay: Path | None


class Analyst:
    """Keeps engines loaded between tasks."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}

    def __call__(self, task: AnalysisTask, progress: Progress) -> Analysis:
        """Read, infer, report, check.

        Raises:
            Exception: whatever an engine or a library raises; the caller settles the task's outcome.
        """
        clock = _Clock(progress)
        engine = self._engine(task.engine, progress)
        clock.done("load")
        findings, volume = self._findings(engine, task, clock)
        sources = [_header(path) for path in task.paths]
        made = make_results(findings, volume, sources, _context(task, engine))
        results = write_results([m for m in made if task.fallbacks or m.rank == 0], task.directory)
        overlay = None
        if volume is not None and findings.segments:
            overlay = task.directory / OVERLAY_NAME
            draw_overlay(volume, findings, overlay)
        clock.done("report")
        problems = check_results(results, sources, volume, findings)
        clock.done("check")
        return _analysis(results, findings, volume, problems, clock.seconds, overlay)

    def _engine(self, spec: EngineSpec, progress: Progress) -> Engine:
        key = repr(spec)
        if key not in self._engines:
            self._engines[key] = load_engine(spec.name, Context(spec.device, dict(spec.options), progress), spec.module)
        return self._engines[key]

    def _findings(self, engine: Engine, task: AnalysisTask, clock: "_Clock") -> tuple[Findings, Volume | None]:
        if task.failure:
            return _nothing(engine, task.failure), None
        volume = None
        try:
            volume = read_series(task.paths)
            clock.done("read")
            findings = engine.analyse(volume)
            clock.done("infer")
        except Refusal as refusal:
            return _nothing(engine, str(refusal)), volume
        return replace(findings, remarks=tuple(dict.fromkeys((*volume.remarks, *findings.remarks)))), volume


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


def _nothing(engine: Engine, reason: str) -> Findings:
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


def _context(task: AnalysisTask, engine: Engine) -> ReportContext:
    identity = task.identity
    return ReportContext(
        engine=engine.info,
        study_instance_uid=identity.study_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        input_digest=identity.input_digest + FAILED if task.failure else identity.input_digest,
        as_of=identity.as_of,
        revision=identity.revision,
        predecessors=identity.predecessors,
        remark=identity.remark,
        equipment=identity.equipment,
        series_number_base=identity.series_number_base,
        content_qualification=identity.content_qualification,
        snapshot=identity.snapshot,
    )


def _facts(segment: Segment, volume: Volume) -> SegmentFacts:
    measured = tuple((m.name.meaning, m.value, m.unit.value) for m in segment.measurements)
    return SegmentFacts(segment.label, volume.volume_ml(segment.mask), measured)


def _analysis(
    results: Sequence[Result],
    findings: Findings,
    volume: Volume | None,
    problems: Sequence[str],
    timings_s: Mapping[str, float],
    overlay: Path | None,
) -> Analysis:
    facts = () if volume is None else tuple(_facts(segment, volume) for segment in findings.segments)
    words = ", ".join(f"{f.label} {f.volume_ml:.0f} ml" for f in facts)
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
