"""Where things lie under the state directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StatePaths:
    """The node's own folders and files."""

    state: Path

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    @property
    def disk_report(self) -> Path:
        return self.state / "receiving.json"

    @property
    def results(self) -> Path:
        return self.state / "results"
