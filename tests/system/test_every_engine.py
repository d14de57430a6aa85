"""Every engine of the catalog through the whole line: C-STORE in, results out, before the judges."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from engine.loading import available, engine_class
from engine.networks.build import build_network
from tests.conformance.judges import judge
from tests.engine.test_segmentation import LUNGS, package
from tests.node_process import Target, dcmsend, node
from tests.pacs_servers import storescp
from tests.returned_results import read_all, returned, words
from tests.synthetic_ct import write_ct
from tests.synthetic_projection import write_projection
from tests.tiny_network import IMAGE_METADATA, IMAGE_NETWORK
from training.export import write_image_package
from training.phantoms.head import head
from training.phantoms.head_series import write_study

NO_STACK = "no source slice in the evidence"
"""The judges look for a stack of slices under every report; projection images have none."""
SUCCESS = "All algorithms succeeded"
LIMIT_S = 540.0


@dataclass(frozen=True)
class Source:
    """A folder of one study, and the node's configuration for the engine beyond its name."""

    folder: Path
    engine: str = ""
    rule: str = ""


Make = Callable[[pytest.FixtureRequest, Path], Source]


def _thorax(_request: pytest.FixtureRequest, directory: Path) -> Source:
    write_ct(directory / "source", "axial", slices=64, rows=128)
    return Source(directory / "source")


def _real(fixture: str) -> Make:
    def copied(request: pytest.FixtureRequest, directory: Path) -> Source:
        return Source(Path(shutil.copytree(request.getfixturevalue(fixture), directory / "source")))

    return copied


def _head(_request: pytest.FixtureRequest, directory: Path) -> Source:
    write_study(head(8, (3.0, 2.0, 2.0), (64, 112, 96), tumours=1), directory / "source", "every engine")
    return Source(directory / "source")


def _radiographs(_request: pytest.FixtureRequest, directory: Path) -> Source:
    """With a package of random weights: which class it finds says nothing, that it answers does."""
    (directory / "source").mkdir(parents=True)
    for number in (1, 2):
        write_projection(directory / "source" / f"{number}.dcm", number=number)
    torch.manual_seed(0)
    package = directory / "package"
    write_image_package(package, build_network(IMAGE_NETWORK).eval(), IMAGE_METADATA, "A card.\n")
    rule = '\n[[rule]]\nengine = "image-classifier"\nwhen = { modality = "DX" }\n'
    return Source(directory / "source", f"package = {json.dumps(str(package))}\n", rule)


def _own_package(request: pytest.FixtureRequest, directory: Path) -> Source:
    """The lungs' weights as a package that says its structures itself."""
    source = _thorax(request, directory)
    folder = package(directory / "package", LUNGS)
    rule = '\n[[rule]]\nengine = "segmentation"\nwhen = { modality = "CT" }\n'
    return Source(source.folder, f"package = {json.dumps(str(folder))}\n", rule)


SOURCES: dict[str, Make] = {
    "lung-segmentation": _thorax,
    "nodule-malignancy": _real("chest_ct"),
    "liver-tumor": _real("abdomen_ct"),
    "brain-tumor": _head,
    "image-classifier": _radiographs,
    "segmentation": _own_package,
}
QUICK = {"image-classifier"}


def test_no_engine_of_the_catalog_is_left_out() -> None:
    assert set(SOURCES) == set(available())


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in SOURCES])
def test_an_engine_answers_and_the_judges_accept_it(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = SOURCES[name](request, tmp_path)
    paths = sorted(path for path in source.folder.rglob("*") if path.is_file())
    study = str(read_all(paths[:1])[0].StudyInstanceUID)
    engines = f'\n[[engine]]\nname = "{name}"\n{source.engine}{source.rule}'
    with (
        storescp(tmp_path / "scp") as scp,
        node(
            tmp_path / "node", Target("scp", scp.ae_title, scp.port, 'kinds = ["SEG", "SR", "SC", "PM"]'), engines=engines
        ) as up,
    ):
        assert dcmsend(up.port, paths).returncode == 0
        up.wait_settled(len(paths), LIMIT_S)
        told = up.command("why", study).stdout
        results = returned(read_all(scp.files()), study)
    assert len(results.reports) == 1, told
    assert SUCCESS in words(results.report), words(results.report)
    verdict = judge(source.folder, results.write(tmp_path / "results"))
    of_images = hasattr(engine_class(name), "analyse_images")
    assert [line for line in verdict.failures if not (of_images and NO_STACK in line)] == [], verdict.text
