"""The ledger as a whole."""

from pathlib import Path
from types import TracebackType
from typing import Self

from dicom_node.ledger.commitments import Commitments
from dicom_node.ledger.database import Database
from dicom_node.ledger.deliveries import Deliveries
from dicom_node.ledger.history import History
from dicom_node.ledger.instances import Instances
from dicom_node.ledger.jobs import Jobs
from dicom_node.ledger.results import Results
from dicom_node.ledger.retention import Retention
from dicom_node.ledger.series import SeriesIndex
from dicom_node.ledger.views import Views


class Ledger:
    """What was received, decided, made and sent; one SQLite file, for any number of threads and processes at once.

    Every method of its parts is one transaction, on stable storage when it returns.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.instances = Instances(database)
        self.series = SeriesIndex(database)
        self.jobs = Jobs(database)
        self.results = Results(database)
        self.deliveries = Deliveries(database)
        self.commitments = Commitments(database)
        self.retention = Retention(database)
        self.history = History(database)
        self.views = Views(database)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger, or create it.

        Raises:
            LedgerError: the file cannot be opened, is no ledger, or is one of another version.
        """
        return cls(Database.open(path))

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
