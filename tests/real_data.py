"""The real images beside the repository: unpacked once, kept in pytest's cache; never part of the repository.

They are looked for in the directory that DICOM_NODE_DATA names, else in ../shared/data beside the repository.
"""

import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class RealData:
    """Archives in `source`, unpacked on demand under `cache`."""

    source: Path
    cache: Path

    def folder(self, archive: str) -> Path:
        """The content of the archive whose file name begins so; skips the test where there is none."""
        found = sorted(self.source.glob(f"{archive}*.tar*"))
        if not found:
            pytest.skip(f"no archive {archive}*.tar* among the real images")
        target = self.cache / found[0].name.replace(".", "_")
        if not target.exists():
            self._unpack(found[0], target)
        return target

    def _unpack(self, archive: Path, target: Path) -> None:
        """Several test runs may unpack at once: the first complete copy stays."""
        partial = Path(tempfile.mkdtemp(dir=self.cache))
        with tarfile.open(archive) as opened:
            opened.extractall(partial, filter="data")
        try:
            partial.rename(target)
        except OSError:
            shutil.rmtree(partial)
            if not target.exists():
                raise


def find_real_data(cache: Path) -> RealData:
    source = Path(os.environ.get("DICOM_NODE_DATA") or DEFAULT)
    if not source.is_dir():
        pytest.skip("the real images are not here: set DICOM_NODE_DATA to their directory")
    return RealData(source, cache)
