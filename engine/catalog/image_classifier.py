"""Projection images (CR, DX, MG ...) sorted into classes by whatever network a model package brings."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from engine.api import Context, EngineInfo, Refusal
from engine.explain import grad_cam
from engine.findings import Algorithm, Code, Evaluation, Explanation, Findings, ImageFinding, Measurement, Outcome
from engine.framing import Framing
from engine.geometry.words import count
from engine.models import ImageClass, ImageMetadata, algorithm_of, load_image_package
from engine.projection import ProjectionImage
from engine.sliding_window import choose_device, describe

DEFAULT_PACKAGE = Path(__file__).parent.parent / "packages" / "image_classifier"

_CATEGORY = Code("404684003", "SCT", "Clinical finding")
_IMAGING_FINDING = Code("365853002", "SCT", "Imaging finding")
_SINGLE_IMAGE_FINDING = Code("111059", "DCM", "Single Image Finding")
_PROBABILITY_SCHEME = "99DICOMNODE"
_NO_UNITS = Code("1", "UCUM", "no units")


class ImageClassifier:
    """Gives each image the probability of every class, the class itself, and Grad-CAM of what decided it."""

    info: ClassVar[EngineInfo] = EngineInfo(
        name="image-classifier",
        title="image classification",
        content_label="IMAGE CLASSES",
        modalities=("CR", "DX", "MG", "IO"),
        finding_category=_CATEGORY,
        finding_type=_IMAGING_FINDING,
        procedure_reported=Code("363679005", "SCT", "Imaging procedure"),
    )

    def __init__(self, context: Context) -> None:
        """Load the weights.

        Options: `package`, the directory of a model package with a classifier; without it an example of no clinical use.

        Raises:
            engine.models.ModelPackageError: the package is damaged or changed.
        """
        self._context = context
        self._package = load_image_package(Path(context.options.get("package", DEFAULT_PACKAGE)))
        self._device = choose_device(context.device)
        self._network = self._package.network(self._device)

    def algorithm(self) -> Algorithm:
        metadata = self._package.metadata
        return algorithm_of(
            self._package,
            device="CPU, float32" if self._device.type == "cpu" else describe(self._device).split(",")[0] + ", float32",
            parameters=metadata.activation
            if metadata.activation == "softmax"
            else f"{metadata.activation}, present from {metadata.threshold:g}",
        )

    def analyse_images(self, images: Sequence[ProjectionImage]) -> Findings:
        """A finding for each image that the package was made for.

        Raises:
            Refusal: none of them is; the reasons.
        """
        started = time.perf_counter()
        reasons = {number: reason for number, image in enumerate(images) if (reason := why_not(image, self._package.metadata))}
        if len(reasons) == len(images):
            raise Refusal(" ".join(dict.fromkeys(reasons.values())) or "There is no image.")
        findings, explanations = [], []
        for number in (number for number in range(len(images)) if number not in reasons):
            self._context.progress("images", number / len(images))
            finding, explanation = self._analyse(images[number], number)
            findings.append(finding)
            explanations += explanation
        self._context.progress("done", 1.0)
        return Findings(
            algorithm=self.algorithm(),
            outcome=Outcome.PARTLY_ANALYSED if reasons else Outcome.FINDINGS,
            finding_category=_CATEGORY,
            finding_type=_IMAGING_FINDING,
            reason=_left_out(reasons, len(images)),
            remarks=tuple(_remarks(images, reasons, self._package.metadata)),
            images=tuple(findings),
            explanations=tuple(explanations),
            timings_s={"images": time.perf_counter() - started},
        )

    def _analyse(self, image: ProjectionImage, number: int) -> tuple[ImageFinding, list[Explanation]]:
        metadata = self._package.metadata
        rows, columns = image.pixels.shape
        framing = Framing((rows, columns), metadata.image_size)
        framed = framing.frame(metadata.intensity(torch.from_numpy(image.pixels), image.window), _dark(metadata))[None]
        probabilities = self._probabilities(framed)
        chosen = _chosen(probabilities, metadata)
        names = [metadata.labels[index].name for index in chosen]
        key = f"image-{number + 1}"
        finding = ImageFinding(
            key=key,
            label=f"Image {number + 1}: {', '.join(names) or 'none of the findings looked for'}",
            image=number,
            category=_CATEGORY,
            finding_type=_code(metadata.labels[chosen[0]]) if chosen else _IMAGING_FINDING,
            measurements=tuple(
                Measurement(_probability_of(each), round(value, 4), _NO_UNITS)
                for each, value in zip(metadata.labels, probabilities, strict=True)
            ),
            evaluations=tuple(Evaluation(_SINGLE_IMAGE_FINDING, _code(metadata.labels[index])) for index in chosen),
        )
        return finding, [
            Explanation(key, f"Grad-CAM, {metadata.labels[index].name}, image {number + 1}", heat, (number, 0, 0))
            for index in chosen
            if not metadata.labels[index].normal and (heat := self._heat(framed, framing, index)).any()
        ]

    def _probabilities(self, framed: Float32[Tensor, "1 rows columns"]) -> list[float]:
        with torch.inference_mode():
            logits = self._network(framed[None].to(self._device)).float().cpu()[0]
        shares = logits.softmax(0) if self._package.metadata.activation == "softmax" else logits.sigmoid()
        return [float(share) for share in shares]

    def _heat(
        self, framed: Float32[Tensor, "1 rows columns"], framing: Framing, index: int
    ) -> Float32[np.ndarray, "1 rows columns"]:
        """On the image's own pixels, as one slice."""
        heat = grad_cam(self._network, self._package.metadata.explained_layer, framed, index)
        return np.asarray(framing.unframe(torch.from_numpy(heat)).clamp(0, 1).numpy()[None])


def why_not(image: ProjectionImage, metadata: ImageMetadata) -> str:
    """Why a package was not made for an image, for the physician; empty if it was."""
    rows, columns = image.pixels.shape
    if image.modality not in metadata.modalities:
        made_for = " and ".join(metadata.modalities)
        return f"{metadata.name} is made for {made_for}, not for {image.modality or 'an unknown modality'}."
    if metadata.view_positions and image.view_position and image.view_position not in metadata.view_positions:
        return f"{metadata.name} is made for the view {' or '.join(metadata.view_positions)}, not for {image.view_position}."
    if rows < metadata.minimum_size[0] or columns < metadata.minimum_size[1]:
        least = " x ".join(map(str, metadata.minimum_size))
        return f"The image has only {rows} x {columns} pixels; {metadata.name} needs {least}."
    if max(rows, columns) > metadata.maximum_aspect * min(rows, columns):
        return f"The image of {rows} x {columns} pixels is too narrow for {metadata.name}."
    if not np.ptp(image.pixels) > 0:
        return "The image is empty: all its pixels are alike."
    return ""


def _chosen(probabilities: Sequence[float], metadata: ImageMetadata) -> list[int]:
    """The most probable class, or every finding that counts as present, the surest first."""
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    if metadata.activation == "softmax":
        return order[:1]
    return [index for index in order if probabilities[index] >= metadata.threshold]


def _dark(metadata: ImageMetadata) -> float:
    """What the network sees of a pixel at the lower end of the window."""
    return -metadata.intensity.subtract / metadata.intensity.divide


def _code(answer: ImageClass) -> Code:
    value, scheme, meaning = answer.code
    return Code(value, scheme, meaning)


def _probability_of(answer: ImageClass) -> Code:
    """A private code that is the same in every package for the same class."""
    digest = hashlib.sha256(":".join(answer.code[:2]).encode()).hexdigest()[:8]
    return Code(f"PROB{digest}".upper(), _PROBABILITY_SCHEME, f"Probability of {answer.name}")


def _left_out(reasons: dict[int, str], images: int) -> str:
    if not reasons:
        return ""
    return f"{len(reasons)} of {count(images, 'image')} not analysed: {' '.join(dict.fromkeys(reasons.values()))}"


def _remarks(images: Sequence[ProjectionImage], reasons: dict[int, str], metadata: ImageMetadata) -> list[str]:
    remarks = [f"{metadata.name}: {use}." if (use := (metadata.model_extra or {}).get("intended_use")) else ""]
    unknown = [n + 1 for n, image in enumerate(images) if n not in reasons and not image.view_position]
    if metadata.view_positions and unknown:
        views = " or ".join(metadata.view_positions)
        remarks.append(f"The view of image {', '.join(map(str, unknown))} is unknown and was taken for {views}.")
    return [remark for remark in remarks if remark]
