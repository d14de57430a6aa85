"""Do these image planes form one stack of parallel slices? Decided on plain numbers, without pixels.

The reader asks before it decodes a pixel; the assembling stage asks before it calls a series complete.

Source: DICOM PS3.3 C.7.6.2 (Image Plane Module).
"""

from engine.geometry.examination import examine
from engine.geometry.gaps import find_gaps
from engine.geometry.model import (
    DroppedPlane,
    DropReason,
    Duplicate,
    Gap,
    SlicePlane,
    StackGeometry,
    StackReport,
)

__all__ = [
    "DropReason",
    "DroppedPlane",
    "Duplicate",
    "Gap",
    "SlicePlane",
    "StackGeometry",
    "StackReport",
    "examine",
    "find_gaps",
]
