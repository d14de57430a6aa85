"""A series as rules see it: its images without localizers and the like, and plain facts about them."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from statistics import median

from dicom_node.config.rules import Orientation
from dicom_node.model import Instance, Series

_AXES = (Orientation.SAGITTAL, Orientation.CORONAL, Orientation.AXIAL)
_SAME_PLACE_MM = 0.01
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is judged of a series.

    Attributes:
        images: its instances that are images to analyse, by Instance Number, then SOP Instance UID.
        left_out: the other instances: localizers among the slices, secondary captures ...
        remark: what was left out, in words.
    """

    series: Series
    images: tuple[Instance, ...]
    left_out: tuple[Instance, ...] = ()
    remark: str = ""

    @property
    def uid(self) -> str:
        return self.series.series_instance_uid

    def first(self, keyword: str) -> str:
        """The first value of an attribute among the images that have it, else nothing."""
        return next((value for image in self.images if (value := image.first(keyword))), "")

    def slice_count(self) -> int:
        """Frames with a place in the patient; where none has, instances."""
        return sum(len(image.planes) for image in self.images) or len(self.images)

    def slice_thickness_mm(self) -> float | None:
        """The usual Slice Thickness; where absent, the usual distance of neighbouring slices."""
        told = [number for image in self.images if (number := as_number(image.first("SliceThickness"))) is not None]
        return median(told) if told else self._distance_mm()

    def orientation(self) -> Orientation | None:
        """The plane that most slices are nearest to, None where no slice has an orientation."""
        normals = [normal for image in self.images for plane in image.planes if (normal := _normal(plane))]
        normals = normals or [n for image in self.images if (n := _told_normal(image))]
        if not normals:
            return None
        return max(Counter(_AXES[_longest(normal)] for normal in normals).items(), key=lambda item: (item[1], item[0]))[0]

    def name(self) -> str:
        """How the series is called in reasons: its number, else its UID."""
        return f"series {self.first('SeriesNumber') or self.uid}"

    def facts(self) -> str:
        """Modality, slices, thickness and kernel in words."""
        thickness = self.slice_thickness_mm()
        count = self.slice_count()
        words = [
            self.first("Modality"),
            f"{count} slice{'s' if count != 1 else ''}",
            f"{thickness:g} mm" if thickness is not None else "",
            f"kernel {kernel}" if (kernel := self.first("ConvolutionKernel")) else "",
        ]
        return ", ".join(word for word in words if word)

    def _distance_mm(self) -> float | None:
        planes = [plane for image in self.images for plane in image.planes]
        normal = next((n for plane in planes if (n := _normal(plane))), None)
        if normal is None:
            return None
        places = sorted(_dot(plane[:3], normal) for plane in planes)
        steps = [step for a, b in pairwise(places) if (step := b - a) > _SAME_PLACE_MM]
        return round(median(steps), 3) if steps else None


def as_number(text: str) -> float | None:
    """A finite number in a text, else None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _normal(plane: tuple[float, ...]) -> Vector | None:
    """Unit normal of a plane, patient LPS; None where rows and columns are no plane."""
    (a, b, c), (d, e, f) = plane[3:6], plane[6:9]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = _dot(normal, normal) ** 0.5
    return None if not length else (normal[0] / length, normal[1] / length, normal[2] / length)


def _told_normal(image: Instance) -> Vector | None:
    """The normal by Image Orientation (Patient), for images without a position."""
    numbers = [
        number for text in image.attributes.get("ImageOrientationPatient", ()) if (number := as_number(text)) is not None
    ]
    return _normal((0.0, 0.0, 0.0, *numbers)) if len(numbers) == 6 else None


def _longest(vector: Vector) -> int:
    return max(range(3), key=lambda axis: abs(vector[axis]))


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
