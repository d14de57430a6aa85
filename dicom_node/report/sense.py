"""Whether findings fit what was analysed: an engine's mistake is found before anything is written."""

from collections.abc import Iterator

from dicom_node.report.context import Analysed
from engine.findings import Explanation, Findings
from engine.volume import Volume


def require_sense(findings: Findings, analysed: Analysed) -> None:
    """Check names, shapes and places.

    Raises:
        ValueError: two findings have the same key or label, or one does not lie on what was analysed.
    """
    keys = [*(s.key for s in findings.segments), *(f.key for f in findings.images)]
    for names in (keys, [s.label for s in findings.segments]):
        if len(set(names)) < len(names):
            raise ValueError(f"segments need different keys and labels: {', '.join(names)}")
    for misplaced in (*_segments(findings, analysed), *_images(findings, analysed)):
        raise ValueError(misplaced)
    for explanation in findings.explanations:
        if not _lies_within(explanation, analysed):
            raise ValueError(f"the explanation of {explanation.key!r} does not lie on what was analysed")


def _segments(findings: Findings, analysed: Analysed) -> Iterator[str]:
    shape = analysed.voxels.shape if isinstance(analysed, Volume) else None
    for segment in findings.segments:
        if segment.mask.shape != shape:
            yield f"segment {segment.key!r} has the shape {segment.mask.shape}, the volume {shape}"


def _images(findings: Findings, analysed: Analysed) -> Iterator[str]:
    count = 0 if isinstance(analysed, Volume) else len(analysed or ())
    for finding in findings.images:
        if not 0 <= finding.image < count:
            yield f"image finding {finding.key!r} is of image {finding.image}, which is not there"


def _lies_within(explanation: Explanation, analysed: Analysed) -> bool:
    first, shape = explanation.first, explanation.heat.shape
    if analysed is None or min(first) < 0 or min(shape, default=0) < 1:
        return False
    if isinstance(analysed, Volume):
        limits: tuple[int, ...] = analysed.voxels.shape
    elif first[0] < len(analysed) and shape[0] == 1:
        limits = (len(analysed), *analysed[first[0]].pixels.shape)
    else:
        return False
    return all(start + size <= limit for start, size, limit in zip(first, shape, limits, strict=True))
