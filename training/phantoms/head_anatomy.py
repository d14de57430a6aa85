"""The anatomy of one synthetic head: the tissue maps of an average brain, bent, and skull, scalp and face built around it.

Source of the maps: MNI ICBM 152 non-linear symmetric average, 2009a (Fonov et al., NeuroImage 54, 2011), as the package nilearn
brings it. Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill
University; use, copying, modification and distribution are permitted with that notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from training.phantoms.fields import Draw, Grid

MARGIN_MM = (60, 40, 30)
"""Around the average brain's box (z, y, x): room for neck, face and scalp."""
_ORIGIN_MM = (-72.0, -98.0, -98.0)
"""LPS (z, y, x) of the maps' first voxel, 1 mm each."""
_CENTRE_MM = (5.0, 18.0, 0.0)
_COARSE_MM = 2
_WHITE_T1, _GREY_T1 = 0.87, 0.65


@dataclass(frozen=True)
class _Atlas:
    """Average maps, axes LPS (slice to the head, row posterior, column left).

    Attributes:
        fine: T1, grey and white matter at 1 mm.
        coarse: distance outside (+) and inside (-) of the brain and outside of the ventricles in mm, on a larger box.
    """

    fine: Float32[Tensor, "3 slices rows columns"]
    coarse: Float32[Tensor, "2 slices rows columns"]


@dataclass(frozen=True)
class Anatomy:
    """One bent head on the phantom's grid.

    Attributes:
        white, grey, fluid: shares of tissue of each voxel, within the brain; they sum to one there.
        brain_mm: distance from the brain's surface, negative inside.
        ventricle_mm: distance from the ventricles.
        place_mm: where each voxel lies in the average brain, LPS (z, y, x).
    """

    white: Float32[Tensor, "slices rows columns"]
    grey: Float32[Tensor, "slices rows columns"]
    fluid: Float32[Tensor, "slices rows columns"]
    brain_mm: Float32[Tensor, "slices rows columns"]
    ventricle_mm: Float32[Tensor, "slices rows columns"]
    place_mm: Float32[Tensor, "3 slices rows columns"]

    @property
    def brain(self) -> Bool[Tensor, "slices rows columns"]:
        return self.brain_mm < 0


@dataclass(frozen=True, slots=True)
class Bulge:
    """Tissue pushed away from a growing mass."""

    centre_mm: tuple[float, float, float]
    push_mm: float
    reach_mm: float


@lru_cache(maxsize=1)
def _atlas() -> _Atlas:
    from nilearn import datasets  # noqa: PLC0415 - seconds to import, and only the generator of heads needs it

    loaders = (datasets.load_mni152_template, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    maps = [
        np.ascontiguousarray(np.asarray(load(resolution=1).dataobj, np.float32).transpose(2, 1, 0)[:, ::-1, ::-1])
        for load in loaders
    ]
    step = (slice(None, None, _COARSE_MM),) * 3
    margins = [(margin // _COARSE_MM,) * 2 for margin in MARGIN_MM]
    brain = np.pad(ndimage.binary_fill_holes(maps[0] > 0)[step], margins)
    ventricles = np.pad(_ventricles(*maps)[step], margins)
    outside, inside = (ndimage.distance_transform_edt(mask) * _COARSE_MM for mask in (~brain, brain))
    distances = np.stack([outside - inside, ndimage.distance_transform_edt(~ventricles) * _COARSE_MM])
    return _Atlas(torch.from_numpy(np.stack(maps)), torch.from_numpy(distances.astype(np.float32)))


def _ventricles(t1: np.ndarray, grey: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Fluid near the middle of the brain: the lateral and third ventricles."""
    z, y, x = np.ogrid[tuple(slice(0, count) for count in t1.shape)]
    z, y, x = (axis + start for axis, start in zip((z, y, x), _ORIGIN_MM, strict=True))
    box = (z > -5) & (z < 30) & (y > -38) & (y < 52) & (np.abs(x) < 34)
    deep = ndimage.distance_transform_edt(t1 > 0) > 15
    return np.asarray((t1 > 0) & (t1 < 0.48) & (grey + white < 0.75) & box & deep)


def bend(grid: Grid, draw: Draw) -> Float32[Tensor, "3 slices rows columns"]:
    """Where each voxel of the grid lies in the average brain: turned, scaled, shifted and bent at random."""
    z, y, x = (axis.expand(grid.shape) for axis in grid.axes_mm)
    points = (
        torch.stack([z, y, x])
        - torch.tensor([draw.uniform(-8, 8), draw.uniform(-8, 8), draw.uniform(-6, 6)])[:, None, None, None]
    )
    matrix = _pose(draw)
    places = torch.einsum("ij,jabc->iabc", matrix, points) + torch.tensor(_CENTRE_MM)[:, None, None, None]
    for cell_mm, most_mm in ((60.0, 6.0), (25.0, 3.5), (10.0, 1.4)):
        amplitude = draw.uniform(0, most_mm)
        places += torch.stack([draw.smooth(grid, cell_mm) for _ in range(3)]) * amplitude
    return places


def _pose(draw: Draw) -> Float32[Tensor, "3 3"]:
    """Rotation and scale of (z, y, x)."""
    size = draw.uniform(0.98, 1.2)
    scale = torch.diag(torch.tensor([size * draw.uniform(0.92, 1.08) for _ in range(3)]))
    generator = torch.zeros(3, 3)
    for first, second, most in ((0, 1, 0.3), (0, 2, 0.12), (1, 2, 0.15)):
        generator[first, second] = draw.uniform(-most, most)
    rotation: Float32[Tensor, "3 3"] = torch.linalg.matrix_exp(generator - generator.T)
    return scale @ rotation


def brain_distance_mm(places: Float32[Tensor, "3 slices rows columns"]) -> Float32[Tensor, "slices rows columns"]:
    """Distance of each place from the average brain's surface, negative inside."""
    return _sample(_atlas().coarse[:1], places, coarse=True)[0]


def _ventricle_distance_mm(places: Float32[Tensor, "3 slices rows columns"]) -> Float32[Tensor, "slices rows columns"]:
    """From the ventricles, looked up at every other voxel: it changes slowly."""
    thinned = _sample(_atlas().coarse[1:], places[:, ::2, ::2, ::2], coarse=True)
    return functional.interpolate(thinned[None], size=places.shape[1:], mode="trilinear", align_corners=False)[0, 0]


def shape_head(grid: Grid, places: Float32[Tensor, "3 slices rows columns"], draw: Draw, bulges: Sequence[Bulge]) -> Anatomy:
    """The tissues at the places, with ventricles and sulci widened or narrowed and pushed away by the bulges."""
    places = places.clone()
    for bulge in bulges:
        places -= _push(grid, bulge)
    places = places + _widen(_ventricle_distance_mm(places), grid, draw.uniform(-1.5, 6) if draw.chance(0.7) else 0.0)
    brain_mm, ventricle_mm = _sample(_atlas().coarse, places, coarse=True)
    t1, grey_map, white_map = _sample(_atlas().fine, places, coarse=False)
    sulci = draw.uniform(0.47, 0.64) + 0.05 * draw.smooth(grid, 8.0)
    fluid = torch.sigmoid((torch.where(ventricle_mm < 6, 0.5 * (_GREY_T1 + 0.33), sulci) - t1) / 0.035)
    white = torch.sigmoid((white_map - grey_map + draw.uniform(-0.25, 0.3)) / draw.uniform(0.12, 0.25)) * (1 - fluid)
    return Anatomy(
        white=white,
        grey=1 - fluid - white,
        fluid=fluid,
        brain_mm=brain_mm,
        ventricle_mm=ventricle_mm,
        place_mm=places,
    )


def _push(grid: Grid, bulge: Bulge) -> Float32[Tensor, "3 slices rows columns"]:
    """How far each voxel's tissue came from the bulge's centre."""
    offset = torch.stack([(axis - at).expand(grid.shape) for axis, at in zip(grid.axes_mm, bulge.centre_mm, strict=True)])
    distance = offset.square().sum(0).sqrt()
    rise = 1 - torch.exp(-((distance / (0.4 * bulge.reach_mm)) ** 2))
    return offset / (distance + 1e-3) * (bulge.push_mm * rise * torch.exp(-((distance / bulge.reach_mm) ** 2)))


def _widen(
    ventricle_mm: Float32[Tensor, "slices rows columns"], grid: Grid, by_mm: float
) -> Float32[Tensor, "3 slices rows columns"]:
    """Shift of the places towards the ventricles, which widens them."""
    slopes = torch.gradient(ventricle_mm, spacing=[*grid.spacing_mm])
    return -torch.stack(slopes) * (by_mm * torch.exp(-ventricle_mm / 14))


def _sample(maps: Float32[Tensor, "maps z y x"], places: Float32[Tensor, "3 slices rows columns"], *, coarse: bool) -> Tensor:
    """Trilinear values of maps at places in the average brain; beyond the maps' box their outermost values."""
    step = _COARSE_MM if coarse else 1
    margins = MARGIN_MM if coarse else (0, 0, 0)
    units = []
    for axis in (2, 1, 0):
        index = (places[axis] - _ORIGIN_MM[axis] + margins[axis]) / step
        units.append(index / (maps.shape[axis + 1] - 1) * 2 - 1)
    where = torch.stack(units, dim=-1)[None]
    return functional.grid_sample(maps[None], where, mode="bilinear", padding_mode="border", align_corners=True)[0]
