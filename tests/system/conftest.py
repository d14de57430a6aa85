"""What the system tests share: a synthetic chest CT, an Orthanc."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.pacs_servers import Orthanc, orthanc
from tests.synthetic_ct import write_ct


@pytest.fixture(scope="session")
def small_ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A synthetic thorax of 40 small slices, in the order of their positions."""
    folder = tmp_path_factory.mktemp("small-ct")
    write_ct(folder, "axial", slices=40, rows=128)
    return sorted(folder.iterdir(), key=_height)


def _height(path: Path) -> float:
    return float(dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc") as running:
        yield running
