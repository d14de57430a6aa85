"""Commands that ask and steer a running node through its ledger: status, jobs, why, retry."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.application import EXIT_NOTHING, Json, app, chosen
from dicom_node.cli.output import console, moment, print_facts, print_json, print_table
from dicom_node.errors import NodeError
from dicom_node.ledger import Ledger, Status, Why, WhyJob
from dicom_node.lifecycle import State
from dicom_node.model import Delivery
from dicom_node.node.paths import StatePaths

if TYPE_CHECKING:
    from dicom_node.cli.intake import Intake

NEEDS_A_PERSON = (State.FAILED, State.HELD)


@contextmanager
def _ledger(context: typer.Context) -> Iterator[Ledger]:
    path = StatePaths(Path(chosen(context).load_or_default().node.state_dir)).ledger
    if not path.exists():
        raise NodeError(f"no ledger at {path}: has the node run with this configuration?")
    with Ledger.open(path) as ledger:
        yield ledger


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Say how things stand: received, queued, delivered, and what needs a person. Exit status 1 if something does.

    The disk, whether C-STORE is accepted, and when the disk will be full at the rate of the last hour, stand first.
    """
    with _ledger(context) as ledger:
        now = ledger.views.status()
    receiving = _intake(context)
    if json:
        print_json({**{f.name: getattr(now, f.name) for f in fields(now)}, "receiving": receiving})
    else:
        _show_status(now, receiving)
    if _needs_a_person(now) or receiving.refused_because:
        raise typer.Exit(1)


def _intake(context: typer.Context) -> "Intake":
    from dicom_node.cli.intake import intake

    try:
        return intake(chosen(context).load_or_default(), time.time())
    except OSError as error:
        raise NodeError(f"the file system of the state does not answer ({error.strerror})") from error


def _show_status(now: Status, receiving: "Intake") -> None:
    from dicom_node.cli.intake import facts

    print_facts(
        {
            **facts(receiving),
            "last received": moment(now.last_received_at) or "never",
            "instances held": now.instances,
            "series still collecting": now.open_series,
            "files in quarantine": now.quarantined,
            "oldest queued job": _age(now.oldest_queued_job_at),
        }
    )
    print_table("Jobs", ("state", "count"), ((state.value, count) for state, count in sorted(now.jobs.items())))
    print_table(
        "Deliveries",
        ("destination", "states", "oldest undelivered"),
        (
            (name, ", ".join(f"{s.value} {n}" for s, n in sorted(states.items())), _age(now.oldest_undelivered_at.get(name)))
            for name, states in sorted(now.deliveries.items())
        ),
    )
    if receiving.refused_because:
        console.print("Senders are refused for now (A700): see Receiving in docs/operations.md.")
    if _needs_a_person(now):
        console.print("Something failed or is held: `dicom-node jobs --state failed`, `dicom-node why …` say what.")


def _needs_a_person(now: Status) -> bool:
    counted = [now.jobs, *now.deliveries.values()]
    return any(states.get(state) for states in counted for state in NEEDS_A_PERSON)


def _age(since: float | None) -> str:
    if since is None:
        return "none"
    minutes, rest = divmod(int(time.time() - since), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


@app.command()
def jobs(
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option(help="Only jobs in this state; may be given more than once.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    with _ledger(context) as ledger:
        found = ledger.jobs.find(states=tuple(state or ()), limit=limit)
    if json:
        print_json(found)
        return
    print_table(
        "Jobs",
        ("job", "engine", "revision", "state", "attempts", "created", "series", "reason"),
        (
            (j.job_id, j.engine, j.revision, j.state.value, j.attempts, moment(j.created_at), j.series_instance_uid, j.reason)
            for j in found
        ),
    )


@app.command()
def why(
    context: typer.Context,
    term: Annotated[str, typer.Argument(help="Accession number, or a study, series or SOP Instance UID, a result's too.")],
    json: Json = False,
) -> None:
    """Tell everything that happened to a study: what came, what was decided and why, what ran, where it went."""
    with _ledger(context) as ledger:
        found = ledger.views.why(term)
    if json:
        print_json(found)
    elif not found:
        console.print(f"The node knows no study with {term}: it was never received, or only in quarantine.")
    for study in () if json else found:
        _show_why(study)
    if not found:
        raise typer.Exit(EXIT_NOTHING)


def _show_why(study: Why) -> None:
    console.print(f"Study {study.study_instance_uid}, accession number {study.accession_number or 'none'}")
    for series in study.series:
        head = f"Series {series.series_number} {series.modality} {series.series_description}: {series.instance_count} instances"
        told = series.assessment
        so_far = "still collecting" if series.open else f"{told.completeness.value}: {told.reason}" if told else ""
        console.print(f"\n{head}; {so_far}")
        for decision in series.decisions:
            console.print(f"  {decision.engine}: {'chosen' if decision.chosen else 'not chosen'}: {decision.reason}")
        for job in series.jobs:
            _show_job(job)
    console.print()
    print_table(
        "What happened",
        ("when", "what", "change", "detail"),
        ((moment(e.at), f"{e.subject} {e.subject_id}", e.change, e.detail) for e in study.events),
    )


def _show_job(told: WhyJob) -> None:
    job = told.job
    words = told.summary or job.reason
    console.print(f"  job {job.job_id}: {job.engine}, revision {job.revision}, {job.state.value}: {words}")
    for result in told.results:
        if result.rank == 0:
            console.print(f"    {result.kind.value} {result.sop_instance_uid}")
    for delivery in told.deliveries:
        status = "" if delivery.status is None else f", status {delivery.status:04X}H"
        form = f" (fallback {delivery.rank})" if delivery.rank else ""
        words = f"{delivery.kind.value}{form} to {delivery.destination}: {delivery.state.value}{_tries(delivery)}{status}"
        console.print(f"    delivery {delivery.delivery_id}: {words}{': ' if delivery.message else ''}{delivery.message}")


def _tries(delivery: Delivery) -> str:
    if not delivery.attempts:
        return ", not tried yet"
    again = f", next try {moment(delivery.not_before)}" if delivery.state is State.QUEUED else ""
    return f" after {delivery.attempts} {'try' if delivery.attempts == 1 else 'tries'}{again}"


@app.command()
def retry(
    context: typer.Context,
    job: Annotated[list[int] | None, typer.Option(help="Run this job again; its results are sent again.")] = None,
    delivery: Annotated[list[int] | None, typer.Option(help="Send this delivery again.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every job and delivery that failed or is held.")] = False,
) -> None:
    """Queue jobs or deliveries again, because a person says so; the running node takes them up within seconds."""
    now = time.time()
    with _ledger(context) as ledger:
        job_ids, delivery_ids = list(job or ()), list(delivery or ())
        if failed:
            job_ids += [j.job_id for j in ledger.jobs.find(states=NEEDS_A_PERSON)]
            delivery_ids += [d.delivery_id for d in ledger.deliveries.find(states=NEEDS_A_PERSON)]
        for job_id in job_ids:
            ledger.jobs.requeue(job_id, now=now)
        for delivery_id in delivery_ids:
            ledger.deliveries.requeue(delivery_id, now=now)
    console.print(f"{len(job_ids)} jobs and {len(delivery_ids)} deliveries queued again")
    if not job_ids and not delivery_ids:
        raise typer.Exit(EXIT_NOTHING)
