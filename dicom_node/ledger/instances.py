"""Received instances: what is new, what is a copy, what contradicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from dicom_node.errors import TransientError
from dicom_node.ledger import schema
from dicom_node.ledger.content import Comparison
from dicom_node.ledger.database import Database
from dicom_node.ledger.history import record
from dicom_node.ledger.rows import instance_values
from dicom_node.ledger.series import open_series, studies_of
from dicom_node.model import Instance

LOOKUP_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Conflict:
    """An instance whose UID is taken by other content; its file is kept, in quarantine."""

    instance: Instance
    reason: str


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of a batch.

    Attributes:
        new: indexed now; their series are open.
        unchanged: files that were indexed already, under this path.
        restored: identical to an instance whose own file is gone; the ledger points to this file now.
        duplicates: identical second copies that nothing refers to; the caller may delete their files.
        conflicts: in quarantine.
    """

    new: tuple[Instance, ...] = ()
    unchanged: tuple[Instance, ...] = ()
    restored: tuple[Instance, ...] = ()
    duplicates: tuple[Instance, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that could not be indexed."""

    path: Path
    reason: str
    at: float


class _Verdict(Enum):
    NEW = "new"
    UNCHANGED = "unchanged"
    RESTORED = "restored"
    DUPLICATE = "duplicate"


class Instances:
    """The index of the spool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, instances: Sequence[Instance]) -> AddReport:
        """Index a batch in one transaction; new instances open their series, copies change nothing.

        Raises:
            TransientError: the ledger cannot be written; nothing was added.
        """
        comparison = Comparison()
        with self._database.read() as connection:  # files are compared before the write lock is taken
            _Batch(connection, comparison).sort(instances)
        with self._database.write() as connection:
            batch = _Batch(connection, comparison)
            batch.sort(instances)
            batch.write()
            return batch.report()

    def known_paths(self) -> frozenset[Path]:
        """All files that the ledger refers to, quarantined ones too."""
        with self._database.read() as connection:
            indexed = connection.scalars(select(schema.instances.c.path)).all()
            aside = connection.scalars(select(schema.quarantined.c.path)).all()
        return frozenset(map(Path, (*indexed, *aside)))

    def quarantine(self, path: Path, reason: str, at: float) -> None:
        """Remember a file that cannot be indexed; the reason names no patient."""
        with self._database.write() as connection:
            _quarantine(connection, path, reason, at)

    def forget_quarantined(self, before: float) -> tuple[Path, ...]:
        """Forget what was quarantined before a time; the caller deletes these files."""
        table = schema.quarantined
        with self._database.write() as connection:
            paths = connection.scalars(delete(table).where(table.c.at < before).returning(table.c.path)).all()
        return tuple(map(Path, paths))

    def quarantined(self) -> tuple[Quarantined, ...]:
        with self._database.read() as connection:
            rows = connection.execute(select(schema.quarantined).order_by(schema.quarantined.c.at)).all()
        return tuple(Quarantined(Path(row.path), row.reason, row.at) for row in rows)


class _Batch:
    """One batch against the state that one transaction sees."""

    def __init__(self, connection: Connection, comparison: Comparison) -> None:
        self._connection = connection
        self._comparison = comparison
        self._sorted: dict[_Verdict, list[Instance]] = {verdict: [] for verdict in _Verdict}
        self._conflicts: list[Conflict] = []

    def sort(self, instances: Sequence[Instance]) -> None:
        known = _known(self._connection, [instance.sop_instance_uid for instance in instances])
        studies = studies_of(self._connection, {instance.series_instance_uid for instance in instances})
        for instance in instances:
            study = studies.setdefault(instance.series_instance_uid, instance.study_instance_uid)
            path = known.get(instance.sop_instance_uid)
            if study != instance.study_instance_uid:
                self._conflicts.append(Conflict(instance, "its series belongs to another study already"))
            elif path is None:
                self._sorted[_Verdict.NEW].append(instance)
                known[instance.sop_instance_uid] = instance.path
            else:
                self._compare(instance, path, known)

    def _compare(self, instance: Instance, path: Path, known: dict[str, Path]) -> None:
        if _is_same_file(instance.path, path):
            self._sorted[_Verdict.UNCHANGED].append(instance)
        elif not path.exists():
            self._sorted[_Verdict.RESTORED].append(instance)
            known[instance.sop_instance_uid] = instance.path
        elif not instance.path.exists():
            self._sorted[_Verdict.DUPLICATE].append(instance)
        elif contradiction := self._contradiction(instance.path, path):
            reason = f"SOP Instance UID {instance.sop_instance_uid} was received before {contradiction}; the first is kept"
            self._conflicts.append(Conflict(instance, reason))
        else:
            self._sorted[_Verdict.DUPLICATE].append(instance)

    def _contradiction(self, one: Path, other: Path) -> str:
        """Why two files are not the same instance; a file that cannot be read must not hold up a batch."""
        try:
            return "" if self._comparison.same(one, other) else "with other content"
        except TransientError as error:
            return f"and cannot be compared ({error})"

    def write(self) -> None:
        new = self._sorted[_Verdict.NEW]
        if new:
            self._connection.execute(insert(schema.instances), [instance_values(instance) for instance in new])
            open_series(self._connection, new)
        for instance in self._sorted[_Verdict.RESTORED]:
            table = schema.instances
            place = {"path": str(instance.path), "size_bytes": instance.size_bytes}
            self._connection.execute(update(table).where(table.c.sop_instance_uid == instance.sop_instance_uid).values(place))
            record(
                self._connection, instance.received_at, "instance", instance.sop_instance_uid, "restored", str(instance.path)
            )
        for conflict in self._conflicts:
            _quarantine(self._connection, conflict.instance.path, conflict.reason, conflict.instance.received_at)
        self._record_duplicates()

    def _record_duplicates(self) -> None:
        per_series: dict[str, list[Instance]] = {}
        for instance in self._sorted[_Verdict.DUPLICATE]:
            per_series.setdefault(instance.series_instance_uid, []).append(instance)
        for series_instance_uid, copies in per_series.items():
            at = max(copy.received_at for copy in copies)
            record(self._connection, at, "series", series_instance_uid, "copies", f"{len(copies)} identical copies ignored")

    def report(self) -> AddReport:
        return AddReport(
            new=tuple(self._sorted[_Verdict.NEW]),
            unchanged=tuple(self._sorted[_Verdict.UNCHANGED]),
            restored=tuple(self._sorted[_Verdict.RESTORED]),
            duplicates=tuple(self._sorted[_Verdict.DUPLICATE]),
            conflicts=tuple(self._conflicts),
        )


def _known(connection: Connection, sop_instance_uids: Sequence[str]) -> dict[str, Path]:
    table, known = schema.instances, dict[str, Path]()
    for start in range(0, len(sop_instance_uids), LOOKUP_CHUNK):
        wanted = table.c.sop_instance_uid.in_(sop_instance_uids[start : start + LOOKUP_CHUNK])
        rows = connection.execute(select(table.c.sop_instance_uid, table.c.path).where(wanted))
        known.update((row.sop_instance_uid, Path(row.path)) for row in rows)
    return known


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:  # one of them does not exist: then they are not the same
        return False


def _quarantine(connection: Connection, path: Path, reason: str, at: float) -> None:
    values = {"path": str(path), "reason": reason, "at": at}
    connection.execute(upsert(schema.quarantined).values(values).on_conflict_do_update(index_elements=["path"], set_=values))
    record(connection, at, "instance", path.name, "quarantined", reason)
