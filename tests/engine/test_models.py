import json
import shutil
from pathlib import Path

import pytest
import torch

from engine.models import ImageIntensity, ModelPackageError, load_image_package, load_package, own_tensors, write_sums
from engine.networks.build import build_network
from tests.tiny_network import IMAGE_METADATA, IMAGE_NETWORK, METADATA, NETWORK
from training.export import write_image_package, write_package


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    return write_package(tmp_path_factory.mktemp("package") / "tiny", build_network(NETWORK), METADATA, "A card.\n").path


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tiny")


def test_a_package_gives_the_network_that_was_written(original: Path) -> None:
    torch.manual_seed(3)
    written = build_network(NETWORK)
    read = load_package(original).network()
    for name, tensor in own_tensors(written).items():
        assert torch.allclose(own_tensors(read)[name].float(), tensor.float(), rtol=1e-3), name
    assert not read.training


def test_the_weights_digest_is_the_sha256_of_the_weights_file(original: Path) -> None:
    lines = (original / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert load_package(original).weights_digest == listed["models/model.safetensors"]


@pytest.mark.parametrize("name", ["models/model.safetensors", "configs/metadata.json", "docs/README.md", "LICENSE"])
def test_a_changed_file_is_refused_by_name(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(ModelPackageError, match=rf"{name} was changed.*install the package again"):
        load_package(package)


def test_a_missing_file_is_refused(package: Path) -> None:
    (package / "LICENSE").unlink()
    with pytest.raises(ModelPackageError, match="LICENSE is missing"):
        load_package(package)


def test_a_file_that_nobody_listed_is_refused(package: Path) -> None:
    (package / "models" / "extra.pt").write_bytes(b"cos\nsystem\n")
    with pytest.raises(ModelPackageError, match=r"models/extra\.pt is not listed"):
        load_package(package)


def test_a_package_without_hashes_is_refused(package: Path) -> None:
    (package / "SHA256SUMS").unlink()
    with pytest.raises(ModelPackageError, match="SHA256SUMS is missing"):
        load_package(package)


def test_hashes_cannot_point_out_of_the_package(package: Path) -> None:
    sums = package / "SHA256SUMS"
    sums.write_text(sums.read_text() + "0" * 64 + "  ../secret\n")
    with pytest.raises(ModelPackageError, match="is not 'hash  file'"):
        load_package(package)


def test_a_network_that_is_not_on_the_list_is_refused(package: Path) -> None:
    _rewrite(package, network_def={"_target_": "os.system", "command": "true"})
    with pytest.raises(ValueError, match=r"os\.system.*not known"):
        load_package(package).network()


def test_weights_that_do_not_fit_the_network_are_refused(package: Path) -> None:
    _rewrite(package, network_def={**NETWORK, "filters": [4, 4, 8]})
    with pytest.raises(ModelPackageError, match="does not fit"):
        load_package(package).network()


def test_metadata_that_is_not_valid_is_refused(package: Path) -> None:
    _rewrite(package, orientation="LIP")
    with pytest.raises(ModelPackageError, match=r"(?s)metadata\.json is not valid.*orientation"):
        load_package(package)


def test_an_engine_that_feeds_one_orientation_refuses_another(package: Path) -> None:
    _rewrite(package, orientation="RAS")
    with pytest.raises(ModelPackageError, match="knows the orientation SPL, not RAS"):
        load_package(package)
    assert load_package(package, ("SPL", "RAS")).metadata.orientation == "RAS"


def test_a_projection_package_gives_a_network_in_two_dimensions(tmp_path: Path) -> None:
    torch.manual_seed(3)
    written = build_network(IMAGE_NETWORK).eval()
    package = write_image_package(tmp_path / "tiny", written, IMAGE_METADATA, "A card.\n")
    read = load_image_package(package.path)
    image = torch.randn(1, 1, 64, 64)
    assert read.metadata.labels[1].name == "opacity"
    with torch.inference_mode():
        assert torch.allclose(read.network()(image), written(image), atol=0.01)


def test_a_projection_package_is_no_package_for_volumes(tmp_path: Path) -> None:
    path = write_image_package(tmp_path / "tiny", build_network(IMAGE_NETWORK), IMAGE_METADATA, "A card.\n").path
    with pytest.raises(ModelPackageError, match=r"(?s)metadata\.json is not valid.*spacing_mm"):
        load_package(path)


def test_a_package_within_a_package_is_checked_by_both(package: Path) -> None:
    shutil.copytree(package, package / "second")
    with pytest.raises(ModelPackageError, match="not listed"):
        load_package(package)
    write_sums(package)
    assert load_package(package).metadata == load_package(package / "second").metadata
    (package / "second" / "LICENSE").write_text("changed")
    for path in (package, package / "second"):
        with pytest.raises(ModelPackageError, match="LICENSE was changed"):
            load_package(path)


@pytest.mark.parametrize("window", [(100.0, 300.0), (0.0, 0.0)])
def test_the_window_of_an_image_becomes_0_to_1(window: tuple[float, float]) -> None:
    intensity = ImageIntensity(range="window", subtract=0.0, divide=1.0)
    pixels = torch.tensor([[0.0, 100.0], [200.0, 900.0]])
    found = intensity(pixels, window)
    assert found.min() == 0
    assert found.max() == 1
    if window[1] > window[0]:
        assert found.tolist() == [[0.0, 0.0], [0.5, 1.0]]


def test_percentiles_take_no_notice_of_the_window_and_of_a_bright_marker() -> None:
    intensity = ImageIntensity(range="percentiles", subtract=0.0, divide=1.0)
    pixels = torch.arange(10_000.0).view(100, 100)
    pixels[0, :20] = 1e6
    assert float(intensity(pixels, (0.0, 1.0))[50, 0]) == pytest.approx(0.5, abs=0.02)


def _rewrite(package: Path, **changes: object) -> None:
    file = package / "configs" / "metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    write_sums(package)
