"""The independent judges beside the repository, as a test calls them.

They are looked for in the directory that DICOM_NODE_JUDGES names, else in ../shared/judges beside the repository.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[3] / "shared" / "judges"
LIMIT_S = 550


@dataclass(frozen=True)
class Verdict:
    """What the judges said; `failures` are their lines about what they refuse."""

    accepted: bool
    text: str

    @property
    def failures(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("FAIL")]


def find_judges() -> Path:
    """The program `judge`; skips the test where it is absent."""
    judge = Path(os.environ.get("DICOM_NODE_JUDGES") or DEFAULT) / "judge"
    if not judge.is_file():
        pytest.skip("the judges are not here: set DICOM_NODE_JUDGES to their directory")
    return judge


def judge(source: Path, results: Path, *, only: str = "", viewer: bool = False) -> Verdict:
    """Hold results against their source; `only` names some of the judges, separated by commas; `viewer` adds OHIF."""
    options = [*(["--only", only] if only else []), *(["--viewer"] if viewer else [])]
    command = [str(find_judges()), str(source), str(results), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    return Verdict(run.returncode == 0, run.stdout + run.stderr[-2000:])
