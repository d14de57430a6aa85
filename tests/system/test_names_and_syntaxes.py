"""Names in any character set, sources that lack what they should have, any transfer syntax: results belong to their study."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.node_process import Target, dcmsend, node
from tests.pacs_servers import orthanc
from tests.returned_results import Returned, accept, returned, volumes_ml
from tests.synthetic_ct import TYPE_2, VARIANTS, SyntheticSeries, Variant, write_ct

SIZE = {"slices": 16, "rows": 64}
NAMES = ("utf8", "gb18030", "japanese", "korean", "cyrillic", "latin1")
BARE = Variant(without=(*TYPE_2, "PatientName"))
PLAIN = "plain"
SYNTAXES = ("implicit", "big_endian", "deflated", "jpeg_lossless", "jpeg_ls", "jpeg_2000", "rle")
KINDS = {**{name: VARIANTS[name] for name in (*NAMES, *SYNTAXES)}, "bare": BARE, PLAIN: Variant()}
ENHANCED = {"enhanced": VARIANTS["enhanced"], "enhanced_rle": VARIANTS["enhanced_rle"]}
JUDGED = ("japanese", "bare")


@dataclass(frozen=True)
class Answered:
    """Series by kind, and all that the PACS held when the node was done."""

    series: dict[str, SyntheticSeries]
    held: list[Dataset]

    def results(self, kind: str) -> Returned:
        return returned(self.held, self.series[kind].study_instance_uid)


def _write(directory: Path, kind: str, number: int) -> SyntheticSeries:
    """All kinds have the same voxels: the noise depends on the length of the salt only."""
    return write_ct(directory / kind, {**KINDS, **ENHANCED}[kind], salt=f"kind {number:02}", **SIZE)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    """All kinds sent at once to one node, its results read back from Orthanc."""
    directory = tmp_path_factory.mktemp("names-and-syntaxes")
    series = {kind: _write(directory / "source", kind, number) for number, kind in enumerate({**KINDS, **ENHANCED})}
    paths = [path for one in series.values() for path in one.paths]
    with orthanc(directory / "orthanc") as pacs, node(directory / "node", Target("pacs", pacs.ae_title, pacs.port)) as running:
        sent = dcmsend(running.port, paths)
        assert sent.returncode == 0, sent.stderr
        running.wait_settled(len(paths))
        yield Answered(series, [*pacs.rest.datasets(Modality="SEG"), *pacs.rest.datasets(Modality="SR")])


@pytest.mark.parametrize("kind", NAMES)
def test_names_come_back_as_they_were(answered: Answered, kind: str) -> None:
    results = answered.results(kind)
    for dataset in (results.seg, results.report):
        assert str(dataset.PatientName) == answered.series[kind].patient_name
        assert str(dataset.ReferringPhysicianName) == "Referrer^Rita"


@pytest.mark.parametrize("keyword", ["StudyID", "AccessionNumber", "PatientName", "StudyTime", "PatientSex"])
def test_what_the_source_lacks_is_empty_in_the_results(answered: Answered, keyword: str) -> None:
    results = answered.results("bare")
    for dataset in (results.seg, results.report):
        assert keyword in dataset
        assert not dataset[keyword].value
        assert dataset.PatientID == "PID0001"


@pytest.mark.parametrize("kind", [*SYNTAXES, "bare", "enhanced", "enhanced_rle"])
def test_voxels_and_volumes_do_not_depend_on_how_the_source_is_written(answered: Answered, kind: str) -> None:
    plain, other = answered.results(PLAIN), answered.results(kind)
    assert np.array_equal(plain.seg.pixel_array, other.seg.pixel_array)
    assert volumes_ml(plain.report) == volumes_ml(other.report) != []


@pytest.mark.judges
@pytest.mark.parametrize(
    "kind", [*JUDGED, *(pytest.param(k, marks=pytest.mark.slow) for k in {**KINDS, **ENHANCED} if k not in JUDGED)]
)
def test_the_judges_accept_what_came_back(answered: Answered, kind: str, tmp_path: Path) -> None:
    source = answered.series[kind].directory
    accept(
        _inflated(source, tmp_path / "source") if kind == "deflated" else source, answered.results(kind), tmp_path / "results"
    )


def _inflated(source: Path, directory: Path) -> Path:
    """A copy that dicom3tools can read."""
    directory.mkdir()
    for path in source.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(directory / path.name)
    return directory
