"""What the demonstration prints: what was sent, what ran and why, what came back, and whether it is right."""

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dicom_node.demo.run import Demo, Shown, ledger_path, prepare, run
from dicom_node.ledger import Ledger, Why
from dicom_node.model import ResultKind

console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def demonstrate(directory: Path, dicom: Path | None) -> int:
    """Run the demonstration and print it.

    Returns:
        The exit status: 0 if something was analysed and all that came back is right, else 1.

    Raises:
        NodeError: it could not be run to its end.
    """
    demo = Demo(directory)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, int] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total or None)
            progress.update(tasks[what], completed=done, total=total or None)  # type: ignore[arg-type]  # an int is its TaskID

        files = prepare(demo, dicom, step)
        shown = run(demo, files, step)
    problems = _show(demo, shown)
    for problem in problems:
        console.print(f"WRONG: {problem}")
    if not problems:
        console.print("Everything that came back is what the node made, and belongs to the study that was sent.")
    return 1 if problems else 0


def _show(demo: Demo, shown: Shown) -> list[str]:
    problems = []
    with Ledger.open(ledger_path(demo.state)) as ledger:
        for study in shown.study_instance_uids:
            for why in ledger.views.why(study):
                _decisions(why)
                problems += _results(demo, why, shown)
    _facts(demo, shown)
    if not shown.returned:
        problems.append(f"nothing came back; the node's log is {demo.log}")
    return problems


def _decisions(why: Why) -> None:
    table = Table(title="What was received, and what ran on it", title_justify="left", box=None, pad_edge=False)
    for column in ("series", "modality", "description", "images", "engine", "runs", "because"):
        table.add_column(column, overflow="fold")
    for series in why.series:
        facts = (series.series_number, series.modality, series.series_description, str(series.instance_count))
        for decision in series.decisions:
            table.add_row(*facts, decision.engine, "yes" if decision.chosen else "no", decision.reason)
    console.print(table)


def _results(demo: Demo, why: Why, shown: Shown) -> list[str]:
    """The results of a study; what is wrong with those that came back."""
    returned = {str(ds.SOPInstanceUID): ds for ds in (dcmread(path) for path in shown.returned)}
    problems = []
    for series in why.series:
        for told in series.jobs:
            console.print(f"\n{told.job.engine} on series {series.series_number}: {told.summary}")
            sent = {delivery.kind for delivery in told.deliveries}
            for result in told.results:
                if (result.kind in sent and result.rank == 0) or result.sop_instance_uid in returned:
                    console.print(f"  {result.kind.value}  {result.sop_instance_uid}")
                    problems += _compare(result.kind, dcmread(result.path), returned.get(result.sop_instance_uid))
            picture = demo.directory / f"job-{told.job.job_id:06d}-overlay.png"
            if picture.exists():
                console.print(f"  picture: {picture}")
    return problems


def _compare(kind: ResultKind, made: Dataset, returned: Dataset | None) -> list[str]:
    """The PACS must give back what the node made, element by element."""
    if returned is None:
        return [f"the {kind.value} {made.SOPInstanceUID} did not come back"]
    return [] if returned == made else [f"the {kind.value} {made.SOPInstanceUID} came back changed"]


def _facts(demo: Demo, shown: Shown) -> None:
    console.print(f"\nPACS: {shown.pacs}; {shown.sent_count} instances sent, {len(shown.returned)} results came back")
    for what, seconds in shown.seconds.items():
        console.print(f"  {what}: {seconds:.1f} s")
    console.print(f"  sent: {demo.source}    came back: {demo.results}    log of the node: {demo.log}")
