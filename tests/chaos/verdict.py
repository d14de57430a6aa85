"""The promises, held against senders' journal, disk, ledger and PACS once everything has settled."""

import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.answering_scp import AnsweringScp
from tests.chaos.journal import Journal
from tests.chaos.spooled import Spooled
from tests.chaos.studies import Outgoing
from tests.chaos.wire import CT

LOOK_S = 0.2
ENDED = ("done", "superseded")


class Broken(AssertionError):
    """A promise was not kept; says which, with the names of what it concerns."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(f"{len(problems)} promises broken:\n" + "\n".join(problems[:20]))


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the ledger, and what the job was run on."""

    job_id: int
    series_instance_uid: str
    revision: int
    state: str
    inputs: frozenset[str]


class LedgerView:
    """The ledger's tables, read beside the node."""

    def __init__(self, state: Path) -> None:
        self._path = state / "ledger.sqlite"

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def has(self, count: int) -> bool:
        """Whether there are so many instances, in rows or quarantine; False also while there is no ledger."""
        try:
            return count <= int(self.rows("SELECT (SELECT count(*) FROM instances) + (SELECT count(*) FROM quarantined)")[0][0])
        except sqlite3.OperationalError:
            return False

    def is_quiet(self) -> bool:
        """Whether nothing is open, waiting or running."""
        queries = (
            "SELECT count(*) FROM series WHERE open",
            "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')",
            "SELECT count(*) FROM deliveries WHERE state IN ('queued', 'running', 'awaiting')",
        )
        return all(self.rows(query)[0][0] == 0 for query in queries)

    def jobs(self) -> list[Job]:
        inputs: defaultdict[int, set[str]] = defaultdict(set)
        for job_id, uid in self.rows("SELECT job_id, sop_instance_uid FROM job_inputs WHERE role = ''"):
            inputs[job_id].add(uid)
        query = "SELECT id, series_instance_uid, revision, state FROM jobs ORDER BY id"
        return [Job(job, uid, revision, state, frozenset(inputs[job])) for job, uid, revision, state in self.rows(query)]


def require(problems: Iterable[str]) -> None:
    """Raises Broken if there is any."""
    if found := list(problems):
        raise Broken(found)


def require_soon(problems: Callable[[], Iterable[str]], deadline_s: float = 90.0) -> None:
    """For what may take a while: Broken is raised only if there still are problems at the deadline."""
    pause, end = threading.Event(), time.monotonic() + deadline_s
    while found := _found(problems):
        if time.monotonic() > end:
            raise Broken(found)
        pause.wait(LOOK_S)


def _found(problems: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return list(problems())
    except sqlite3.OperationalError as error:
        return [f"the ledger cannot be read: {error}"]


def ledger_problems(spooled: Spooled, ledger: LedgerView, journal: Journal) -> Iterator[str]:
    """Every file has its one row and every row its file; of each instance there is one file; nothing half-done is left."""
    files = spooled.files()
    rows = {Path(path): uid for uid, path in ledger.rows("SELECT sop_instance_uid, path FROM instances")}
    yield from (f"{path.name}: a file without a row" for path in files.keys() - rows.keys())
    yield from (f"{path.name}: a row without a file" for path in rows.keys() - files.keys())
    for path in files.keys() & rows.keys():
        if files[path].sop_instance_uid != rows[path]:
            yield f"{path.name}: the row of another instance"
    copies = Counter(stored.sop_instance_uid for stored in files.values())
    yield from (f"{uid}: {count} files" for uid, count in copies.items() if count > 1)
    yield from (f"{uid}: acknowledged, but without a row" for uid in journal.snapshot().keys() - set(rows.values()))
    yield from (f"in quarantine: {row}" for row in ledger.rows("SELECT path, reason FROM quarantined"))
    yield from (f"in quarantine: {path.name}" for path in spooled.quarantined())
    yield from (f"left behind: {path.name}" for path in spooled.incoming())


def job_problems(ledger: LedgerView, journal: Journal) -> Iterator[str]:
    """Each whole series that a rule matches has one job with all its images, which ended well; earlier ones saw fewer."""
    by_series: defaultdict[str, list[Job]] = defaultdict(list)
    for job in ledger.jobs():
        by_series[job.series_instance_uid].append(job)
    for uid, whole in complete_series(journal).items():
        jobs = by_series.pop(uid, [])
        if next(iter(whole.values())).sop_class_uid != CT:
            yield from (f"series {uid}: a job that no rule asks for" for _ in jobs)
            continue
        final = [job for job in jobs if job.inputs == whole.keys()]
        if len(final) != 1:
            yield f"series {uid}: {len(final)} jobs on all its {len(whole)} images"
        elif final[0] != max(jobs, key=lambda job: job.revision) or final[0].state != "done":
            yield f"series {uid}: job {final[0].job_id}, on all images, is {final[0].state}, or not the last"
        if len({job.inputs for job in jobs}) < len(jobs) or any(job.state not in ENDED for job in jobs):
            yield f"series {uid}: jobs doubled or not ended: {[(j.revision, j.state, len(j.inputs)) for j in jobs]}"
    yield from (f"series {uid}: jobs of a series that was never whole" for uid in by_series)


def result_problems(ledger: LedgerView, pacs: AnsweringScp) -> Iterator[str]:
    """Each job that ended well has one current result of each kind and form; the PACS has them, and nothing else."""
    query = (
        "SELECT j.id, r.kind, r.rank, count(r.sop_instance_uid) FROM jobs j "
        "LEFT JOIN results r ON r.job_id = j.id AND r.current WHERE j.state = 'done' GROUP BY j.id, r.kind, r.rank"
    )
    for job_id, kind, rank, count in ledger.rows(query):
        if kind is None or count != 1:
            yield f"job {job_id}: {count} current results of kind {kind}, form {rank}"
    failed = "SELECT job_id, kind, state, message FROM deliveries WHERE state NOT IN ('done', 'superseded')"
    yield from (f"not delivered: {row}" for row in ledger.rows(failed))
    sent, known = set(pacs.received), {uid for (uid,) in ledger.rows("SELECT sop_instance_uid FROM results")}
    yield from (f"{uid}: at the PACS, but no result" for uid in sent - known)
    query = (
        "SELECT r.sop_instance_uid FROM results r JOIN deliveries d USING (job_id, kind, rank) "
        "WHERE r.current AND d.state = 'done'"
    )
    yield from (f"{uid}: delivered, but not at the PACS" for (uid,) in ledger.rows(query) if uid not in sent)
    bodies: dict[str, bytes] = {}
    for uid, body in zip(pacs.received, pacs.datasets, strict=True):
        if bodies.setdefault(uid, body) != body:
            yield f"{uid}: sent twice, with different content"


def complete_series(journal: Journal) -> dict[str, dict[str, Outgoing]]:
    """The instances, by series, of every series that was acknowledged to its last instance."""
    found: defaultdict[str, dict[str, Outgoing]] = defaultdict(dict)
    for uid, outgoing in journal.snapshot().items():
        found[outgoing.series_instance_uid][uid] = outgoing
    return {uid: whole for uid, whole in found.items() if len(whole) == next(iter(whole.values())).count}
