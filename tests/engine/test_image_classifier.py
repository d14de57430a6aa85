from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.api import Context, ProjectionEngine, Refusal
from engine.catalog.image_classifier import DEFAULT_PACKAGE, ImageClassifier
from engine.findings import Code, Outcome
from engine.loading import load_engine
from engine.networks.build import build_network
from engine.projection import ProjectionImage
from engine.volume import SliceReference
from tests.tiny_network import IMAGE_METADATA, IMAGE_NETWORK
from training.export import write_image_package
from training.phantoms.projection import PIXEL_SPACING_MM, RadiographPhantom, radiograph

Make = Callable[..., ImageClassifier]


def image_of(phantom: RadiographPhantom, number: int = 0) -> ProjectionImage:
    return ProjectionImage(
        pixels=phantom.pixels,
        window=phantom.window,
        pixel_spacing_mm=PIXEL_SPACING_MM,
        modality="DX",
        view_position="PA",
        laterality="",
        source=SliceReference(f"2.25.{number}"),
    )


def bright(rows: int = 120, columns: int = 100, *, left: bool = True) -> ProjectionImage:
    """A bright square in a dark image, in the left or right half."""
    pixels = np.random.default_rng(0).normal(100, 2, (rows, columns)).astype(np.float32)
    first = columns // 8 if left else columns * 5 // 8
    pixels[rows // 3 : rows * 2 // 3, first : first + columns // 4] += 800
    return ProjectionImage(pixels, (100.0, 900.0), None, "DX", "PA", "", SliceReference("2.25.1"))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """An engine with a network of random weights, its metadata changed."""

    def build(**changes: Any) -> ImageClassifier:
        torch.manual_seed(0)
        network: nn.Module = build_network(IMAGE_NETWORK).eval()
        folder = tmp_path_factory.mktemp("package") / "tiny"
        write_image_package(folder, network, {**IMAGE_METADATA, **changes}, "A card.\n")
        return ImageClassifier(Context(device="cpu", options={"package": str(folder)}))

    return build


def test_the_probabilities_are_those_of_the_network(make: Make) -> None:
    engine = make(image_size=[120, 100])
    image = bright()
    (finding,) = engine.analyse_images([image]).images
    values = [measurement.value for measurement in finding.measurements]
    normalised = (torch.from_numpy(image.pixels).sub(100).div(800).clamp(0, 1) - 0.5) / 0.25
    with torch.inference_mode():
        expected = engine._network(normalised[None, None]).softmax(1)[0]
    assert values == pytest.approx(expected.tolist(), abs=1e-3)
    assert [measurement.name.meaning for measurement in finding.measurements] == [
        "Probability of no opacity",
        "Probability of opacity",
    ]


def test_the_class_is_the_most_probable_one_as_a_code(make: Make) -> None:
    (finding,) = make().analyse_images([bright()]).images
    best = int(np.argmax([measurement.value for measurement in finding.measurements]))
    expected = Code(*IMAGE_METADATA["labels"][best]["code"])
    assert [evaluation.value for evaluation in finding.evaluations] == [expected]
    assert finding.finding_type == expected


def test_findings_that_do_not_exclude_each_other_are_all_told(make: Make) -> None:
    images = [bright()]
    (all_of_them,) = make(activation="sigmoid", threshold=1e-6).analyse_images(images).images
    (none,) = make(activation="sigmoid", threshold=1 - 1e-9).analyse_images(images).images
    assert len(all_of_them.evaluations) == 2
    assert none.evaluations == ()
    assert none.label == "Image 1: none of the findings looked for"


def test_the_heat_lies_on_the_images_own_pixels(make: Make) -> None:
    findings = make().analyse_images([bright(), bright(77, 140)])
    assert len(findings.explanations) > 0
    for explanation in findings.explanations:
        number = explanation.first[0]
        assert explanation.key == findings.images[number].key
        assert explanation.heat.shape == (1, *((120, 100), (77, 140))[number])
        assert explanation.heat.min() >= 0
        assert explanation.heat.max() <= 1


def test_a_normal_class_is_not_explained(make: Make) -> None:
    labels = [{**label, "normal": True} for label in IMAGE_METADATA["labels"]]
    assert make(labels=labels).analyse_images([bright()]).explanations == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"modality": "MG"}, "tiny classifier is made for DX and CR, not for MG"),
        ({"view_position": "LATERAL"}, "made for the view PA, not for LATERAL"),
        ({"pixels": np.ones((30, 90), np.float32)}, "only 30 x 90 pixels; tiny classifier needs 64 x 64"),
        ({"pixels": np.ones((300, 90), np.float32)}, "300 x 90 pixels is too narrow"),
        ({"pixels": np.ones((90, 90), np.float32)}, "all its pixels are alike"),
    ],
)
def test_what_the_package_was_not_made_for_is_refused(make: Make, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        make().analyse_images([replace(bright(), **change)])


def test_images_that_fit_are_analysed_beside_those_that_do_not(make: Make) -> None:
    findings = make().analyse_images([replace(bright(), modality="MG"), bright()])
    assert findings.outcome is Outcome.PARTLY_ANALYSED
    assert [finding.image for finding in findings.images] == [1]
    assert findings.reason == "1 of 2 images not analysed: tiny classifier is made for DX and CR, not for MG."


def test_an_unknown_view_is_said(make: Make) -> None:
    findings = make().analyse_images([replace(bright(), view_position="")])
    assert findings.remarks == ("The view of image 1 is unknown and was taken for PA.",)


@pytest.mark.slow
def test_the_shipped_example_tells_opacities_from_healthy_lungs() -> None:
    engine = load_engine("image-classifier", Context(device="cpu"))
    assert isinstance(engine, ProjectionEngine)
    phantoms = [radiograph(seed) for seed in range(200_000, 200_040)]
    findings = engine.analyse_images([image_of(phantom, number) for number, phantom in enumerate(phantoms)])
    probability = np.array([finding.measurements[1].value for finding in findings.images])
    diseased = np.array([phantom.kind != "healthy" for phantom in phantoms])
    assert (probability[diseased][:, None] > probability[~diseased]).mean() > 0.6
    assert any("not for clinical use" in remark for remark in findings.remarks)


def test_the_shipped_example_is_small() -> None:
    assert sum(file.stat().st_size for file in DEFAULT_PACKAGE.rglob("*")) < 3_000_000
