"""Commands that work on a folder, without a network: explain, infer."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dicom_node.cli.application import EXIT_NOTHING, Json, app, chosen
from dicom_node.cli.output import console, errors, print_facts, print_json, print_table
from dicom_node.config import NodeConfiguration, RuleSettings
from dicom_node.config.defaults import DEFAULT_RULES
from dicom_node.errors import NodeError
from dicom_node.headers import ROUTING_KEYWORDS
from dicom_node.model import Completeness, Decision, ResultKind, Series
from dicom_node.pipeline.folder import read_folder
from dicom_node.route import Ours, Stage, StudySeries, companions_of, keywords_of, route

MOMENTS = tuple((f"{of}Date", f"{of}Time") for of in ("Acquisition", "Content", "Series", "Study"))
TIMEZONE = "TimezoneOffsetFromUTC"

if TYPE_CHECKING:
    from dicom_node.pipeline.analysis import Analysis, EngineSpec


@dataclass(frozen=True, slots=True)
class Explained:
    """A series of the folder and what would be done with it."""

    series_instance_uid: str
    series_number: str
    modality: str
    description: str
    instances: int
    decisions: tuple[Decision, ...]


def explained(found: Sequence[Series], configuration: NodeConfiguration) -> list[Explained]:
    """The decisions on each series as if the whole study had arrived and was quiet."""
    names = [engine.name for engine in configuration.engines]
    result = []
    for series in found:
        study = [StudySeries(s, Stage.WHOLE) for s in found if s.study_instance_uid == series.study_instance_uid]
        routing = route(
            series,
            configuration.effective_rules(),
            engines=names,
            disabled=set(names) - set(configuration.enabled_engines()),
            study=study,
        )
        number, modality, words = (series.first(k) for k in ("SeriesNumber", "Modality", "SeriesDescription"))
        uid, count = series.series_instance_uid, len(series.instances)
        result.append(Explained(uid, number, modality, words, count, routing.decisions))
    return result


@app.command()
def explain(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A folder or file of DICOM, or the UID or accession number of a stored study.")],
    json: Json = False,
) -> None:
    """Say for every series which engine would run on it, and why or why not; nothing is run or sent."""
    configuration = chosen(context).load_or_default()
    found, unreadable = _series_at(path, configuration)
    rows = explained(found, configuration)
    if json:
        print_json({"series": rows, "unreadable": [{"path": p, "reason": r} for p, r in unreadable]})
    else:
        print_table(
            f"Routing of {path}",
            ("series", "modality", "description", "instances", "engine", "runs", "because"),
            (
                (r.series_number, r.modality, r.description, r.instances, d.engine, "yes" if d.chosen else "no", d.reason)
                for r in rows
                for d in r.decisions
            ),
        )
        if unreadable:
            print_table("Files that were left out", ("file", "reason"), unreadable)
    if not rows:
        raise typer.Exit(EXIT_NOTHING)


def _series_at(path: Path, configuration: NodeConfiguration) -> tuple[Sequence[Series], Sequence[tuple[Path, str]]]:
    if path.exists():
        folder = read_folder(path, ROUTING_KEYWORDS | keywords_of(configuration.effective_rules()))
        return folder.series, folder.unreadable
    from dicom_node.ledger import Ledger
    from dicom_node.node.paths import StatePaths

    ledger_file = StatePaths(Path(configuration.node.state_dir)).ledger
    if not ledger_file.exists():
        raise NodeError(f"{path} is no file or folder here, and the node has no ledger at {ledger_file} to look it up in")
    with Ledger.open(ledger_file) as ledger:
        studies = [why.study_instance_uid for why in ledger.views.why(str(path))]
        return [series for study in studies for series in ledger.series.of_study(study)], ()


@app.command()
def infer(
    context: typer.Context,
    engine: Annotated[str, typer.Argument(help="Name of the engine, such as lung-segmentation.")],
    path: Annotated[Path, typer.Argument(help="A folder of DICOM files.", exists=True)],
    output: Annotated[Path, typer.Option(help="Folder for SEG, SR and PNG; made if missing.")],
    series: Annotated[str, typer.Option(help="Series Instance UID; without it all series that the engine takes.")] = "",
    kinds: Annotated[list[ResultKind] | None, typer.Option(help="Make these too: SC (pictures, heat maps), PM.")] = None,
    json: Json = False,
) -> None:
    """Run an engine on a folder, without a network: the same code, the same results as in the node.

    Several series go into a folder each, named by Series Number. Exit status 3: no series for the engine, or none was analysed.
    """
    configuration = chosen(context).load_or_default()
    spec = _spec(configuration, engine)
    keywords = ROUTING_KEYWORDS | {TIMEZONE, *(keyword for moment in MOMENTS for keyword in moment)}
    found = read_folder(path, keywords | keywords_of(_rules(configuration, engine))).series
    taken = _series_for(spec, configuration, found, series)
    if not taken:
        errors.print(f"{path} holds no series that {engine} takes; `dicom-node explain {path}` says why")
        raise typer.Exit(EXIT_NOTHING)
    folders = _folders(output, taken)
    make = frozenset(kinds or [])
    done = [
        (s, _analyse(configuration, _Asked(spec, s, _companions(configuration, engine, s, found), folder, make), json))
        for s, folder in zip(taken, folders, strict=True)
    ]
    if json:
        print_json([{"series_instance_uid": s.series_instance_uid, **_facts(a)} for s, a in done])
    else:
        for s, analysis in done:
            _show(s, analysis)
    if any(a.problems for _, a in done):
        raise typer.Exit(1)
    if all(a.outcome.value == "not analysed" for _, a in done):
        raise typer.Exit(EXIT_NOTHING)


def _spec(configuration: NodeConfiguration, engine: str) -> "EngineSpec":
    """As configured; an engine of the catalog needs no configuration."""
    from dicom_node.node.processing import engine_spec
    from dicom_node.pipeline.analysis import EngineSpec

    if engine in {e.name for e in configuration.engines}:
        return engine_spec(configuration, engine)
    return EngineSpec(engine, device=configuration.inference.device)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One run: which engine on what, where the results go, and what is made beside SEG and SR."""

    spec: "EngineSpec"
    series: Series
    companions: Mapping[str, Series]
    folder: Path
    kinds: frozenset[ResultKind]


def _rules(configuration: NodeConfiguration, engine: str) -> list[RuleSettings]:
    """Those of the file, else the engine's default rule."""
    effective = [rule for rule in configuration.effective_rules() if rule.engine == engine]
    return effective or [rule for name, rule in DEFAULT_RULES.items() if name == engine]


def _companions(configuration: NodeConfiguration, engine: str, own: Series, found: Sequence[Series]) -> Mapping[str, Series]:
    """The other series of the study for the engine's roles, as the node would find them."""
    study = [StudySeries(s) for s in found if s.study_instance_uid == own.study_instance_uid]
    rules = [rule for rule in _rules(configuration, engine) if rule.roles]
    return companions_of(rules[0], own.series_instance_uid, study, Ours()).series if rules else {}


def _series_for(spec: "EngineSpec", configuration: NodeConfiguration, found: Sequence[Series], uid: str) -> list[Series]:
    from engine.loading import EngineNotFoundError, engine_info

    try:
        modalities = engine_info(spec.name, spec.module).modalities
    except EngineNotFoundError as error:
        configured = ", ".join(e.name for e in configuration.engines)
        raise NodeError(f"{error}; configured: {configured or 'none'}") from error
    if uid:
        return [s for s in found if s.series_instance_uid == uid]
    allowed = [s for s in found if s.first("Modality") in modalities]
    images = [s for s in allowed if not route(s, (), engines=(spec.name,)).decisions[0].reason.startswith("no image")]
    rules = [rule for rule in _rules(configuration, spec.name) if rule.roles]
    ruled = [s for s in images if route(s, [r.model_copy(update={"best_of_study": False}) for r in rules]).chosen]
    return ruled or images  # of an engine with roles the others are companions


def _folders(output: Path, taken: Sequence[Series]) -> list[Path]:
    if len(taken) == 1:
        return [output]
    return [output / f"series-{s.first('SeriesNumber') or n}-{s.series_instance_uid[-6:]}" for n, s in enumerate(taken, 1)]


def _analyse(configuration: NodeConfiguration, asked: _Asked, quiet: bool) -> "Analysis":
    from dicom_node.assemble import assess, input_digest
    from dicom_node.node.processing import equipment
    from dicom_node.pipeline.analysis import AnalysisTask, Analyst
    from dicom_node.report import ResultIdentity

    spec, series = asked.spec, asked.series
    assessment = assess(series, time.time(), configuration.assemble.policy(), None)
    configured = spec.name in {e.name for e in configuration.engines}
    identity = ResultIdentity(
        series.study_instance_uid,
        series.series_instance_uid,
        input_digest(series, asked.companions),
        _as_of(series),
        remark=assessment.reason if assessment.completeness is Completeness.INCOMPLETE else "",
        equipment=equipment(configuration),
        series_number_base=configuration.series_number_base(spec.name) if configured else configuration.node.series_number_base,
        content_qualification=configuration.node.content_qualification.value,
        extra_kinds=asked.kinds,
    )
    paths = {role: tuple(i.path for i in other.instances) for role, other in asked.companions.items()}
    own = tuple(i.path for i in series.instances)
    task = AnalysisTask(own, spec, identity, asked.folder, fallbacks=False, companions=paths)
    with _bar(quiet) as progress:
        try:
            return Analyst()(task, progress)
        except Exception as error:
            raise NodeError(f"{spec.name} failed on series {series.series_instance_uid}: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Kind, words and place of an exception: its caller has the data, so nothing need be kept from him."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


def _as_of(series: Series) -> float:
    """The date of the results: the latest in the headers, so that a copy of the files gives the same bytes.

    Arrival, which it is in the node, is unknown here; the files' own dates are the last resort.
    """
    return max(_moments(series), default=series.last_received_at)


def _moments(series: Series) -> Iterator[float]:
    for instance in series.instances:
        zone = instance.first(TIMEZONE, "+0000")
        for date, time_of_day in MOMENTS:
            with suppress(ValueError):  # absent, or no date
                text = f"{instance.first(date)}{instance.first(time_of_day, '0')[:6]:0<6}{zone}"
                yield datetime.strptime(text, "%Y%m%d%H%M%S%z").timestamp()


class _Bar:
    """A progress bar for one series; nothing when there is nobody to look."""

    def __init__(self, quiet: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=errors, transient=True, disable=quiet)

    def __enter__(self) -> Callable[[str, float], None]:
        self._progress.start()
        task = self._progress.add_task("read", total=1.0)
        return lambda step, share: self._progress.update(task, description=step, completed=share)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _bar(quiet: bool) -> _Bar:
    return _Bar(quiet)


def _facts(analysis: "Analysis") -> dict[str, object]:
    return {
        "outcome": analysis.outcome,
        "summary": analysis.summary,
        "found": analysis.found,
        "remarks": analysis.remarks,
        "device": analysis.device,
        "timings_s": dict(analysis.timings_s),
        "problems": analysis.problems,
        "results": [
            {"kind": r.kind, "rank": r.rank, "sop_instance_uid": r.sop_instance_uid, "path": r.path} for r in analysis.results
        ],
        "overlay": analysis.overlay,
    }


def _show(series: Series, analysis: "Analysis") -> None:
    name = ", ".join(filter(None, (series.first("SeriesNumber"), series.first("SeriesDescription"))))
    console.print(f"Series {name or series.series_instance_uid}: {analysis.summary}")
    for remark in analysis.remarks:
        console.print(f"  note: {remark}")
    for problem in analysis.problems:
        errors.print(f"  the node's own check: {problem}")
    print_facts(
        {
            "device": analysis.device,
            "seconds": ", ".join(f"{step} {s:.1f}" for step, s in analysis.timings_s.items()),
            **{r.kind.value: r.path for r in analysis.results},
            "picture": analysis.overlay or "none",
        }
    )
