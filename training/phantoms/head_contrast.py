"""What each tissue of a synthetic head looks like on FLAIR and on T1 with contrast agent; white matter is 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from training.phantoms.fields import Draw, Grid, blur
from training.phantoms.head_anatomy import Anatomy
from training.phantoms.head_tumour import Tumour

Image = Float32[Tensor, "slices rows columns"]


@dataclass(frozen=True)
class Harmless:
    """What is bright without being tumour.

    Attributes:
        flair: bright on FLAIR: 0 to 1.
        vessels: bright on T1 with contrast agent: vessels, choroid plexus.
    """

    flair: Image
    vessels: Bool[Tensor, "slices rows columns"]


def paint_flair(anatomy: Anatomy, tumours: Sequence[Tumour], harmless: Harmless, grid: Grid, draw: Draw) -> Image:
    """The brain on FLAIR, fluid mostly suppressed."""
    grey = draw.uniform(1.05, 1.4) if draw.chance(0.9) else draw.uniform(0.85, 1.0)
    fluid = draw.uniform(0.05, 0.45) if draw.chance(0.85) else draw.uniform(0.45, 0.8)
    image = _tissues(anatomy, grid, draw, (1.0, grey, fluid), deep=draw.uniform(0.8, 1.12))
    if draw.chance(0.4):
        image += anatomy.fluid * draw.smooth(grid, draw.uniform(10, 25)).clamp(min=0) * draw.uniform(0, 0.5)
    bright = max(grey, 1.0) * draw.uniform(1.15, 1.9)
    image += harmless.flair * (1 - anatomy.fluid) * (bright - 1)
    for tumour in tumours:
        image = _paint_flair_tumour(image, tumour, max(grey, 1.0), fluid, grid, draw)
    return image


def _paint_flair_tumour(image: Image, tumour: Tumour, normal: float, fluid: float, grid: Grid, draw: Draw) -> Image:
    oedema = normal * (draw.uniform(1.15, 1.4) if draw.chance(0.15) else draw.uniform(1.35, 2.3))
    fade = draw.uniform(0.0, 0.5) if draw.chance(0.4) else 0.0
    values = oedema - fade * (oedema - 1.12 * normal) * (1 - tumour.depth)
    values = values * torch.exp(draw.smooth(grid, draw.uniform(5, 14)) * draw.uniform(0.02, 0.13))
    kind = draw.uniform(0, 1)
    core = oedema * draw.uniform(0.85, 1.25) if kind < 0.45 else draw.uniform(0.75, 1.2) * normal
    core = draw.uniform(0.35, 0.8) if kind > 0.85 else core
    texture = torch.exp(draw.smooth(grid, draw.uniform(3, 10)) * draw.uniform(0.03, 0.25))
    values = _mixed(values, core * texture, tumour.core, grid, draw)
    necrosis = draw.uniform(fluid, 1.0) if draw.chance(0.6) else draw.uniform(1.0, 1.3) * oedema
    values = _mixed(values, torch.full_like(values, necrosis), tumour.necrosis, grid, draw)
    return _mixed(image, values, tumour.whole, grid, draw)


def paint_contrast_t1(anatomy: Anatomy, tumours: Sequence[Tumour], harmless: Harmless, grid: Grid, draw: Draw) -> Image:
    """The brain on T1 after contrast agent."""
    grey, fluid = draw.uniform(0.6, 0.95), draw.uniform(0.1, 0.4)
    image = _tissues(anatomy, grid, draw, (1.0, grey, fluid), deep=draw.uniform(0.95, 1.15))
    image -= harmless.flair * draw.uniform(0, 0.25) * (1 - anatomy.fluid)
    for tumour in tumours:
        oedema = draw.uniform(0.55, 0.95)
        values = oedema * torch.exp(draw.smooth(grid, draw.uniform(5, 14)) * draw.uniform(0.02, 0.1))
        values = _mixed(values, torch.full_like(values, draw.uniform(0.4, 0.9)), tumour.core, grid, draw)
        values = _mixed(values, torch.full_like(values, draw.uniform(0.2, 0.6)), tumour.necrosis, grid, draw)
        taken_up = draw.uniform(1.25, 2.4) * torch.exp(draw.smooth(grid, draw.uniform(4, 10)) * draw.uniform(0.02, 0.15))
        values = _mixed(values, taken_up, tumour.enhancing, grid, draw)
        image = _mixed(image, values, tumour.whole, grid, draw)
    vessel = torch.full_like(image, draw.uniform(1.2, 2.3))
    return torch.where(harmless.vessels, torch.maximum(image, vessel), image)


def _tissues(anatomy: Anatomy, grid: Grid, draw: Draw, levels: tuple[float, float, float], *, deep: float) -> Image:
    """White, grey and fluid with their slow and fine unevenness; the grey nuclei by their own factor."""
    white, grey, fluid = levels
    z, y, x = anatomy.place_mm
    nuclei = torch.exp(-(((x / 38) ** 2 + ((y - 5) / 38) ** 2 + ((z - 6) / 20) ** 2) ** 3))
    grey_level = grey * (1 + (deep - 1) * nuclei)
    grey_level = grey_level * (1 + draw.smooth(grid, draw.uniform(12, 35)) * draw.uniform(0, 0.07))
    white_level = white * (1 + draw.smooth(grid, draw.uniform(10, 40)) * draw.uniform(0, 0.06))
    below = torch.sigmoid((-z - 15) / 6) * torch.sigmoid((y - 25) / 6)
    hind = 1 + below * draw.uniform(-0.15, 0.12)
    return (anatomy.white * white_level + anatomy.grey * grey_level) * hind + anatomy.fluid * fluid


def harmless_brightness(anatomy: Anatomy, grid: Grid, draw: Draw) -> Harmless:
    """Caps and bands around the ventricles, small spots in white matter, vessels and choroid plexus."""
    flair = torch.zeros(grid.shape)
    if draw.chance(0.7):
        band = torch.sigmoid((draw.uniform(0.5, 5.0) + 2 * draw.smooth(grid, 12.0) - anatomy.ventricle_mm) / 1.2)
        flair = torch.maximum(flair, band * draw.uniform(0.1, 0.9))
    if draw.chance(0.5):
        spots = torch.sigmoid((draw.smooth(grid, draw.uniform(4, 9)) - draw.uniform(1.9, 3.0)) / 0.15)
        near = torch.exp(-anatomy.ventricle_mm / draw.uniform(10, 40))
        flair = torch.maximum(flair, spots * (near > draw.uniform(0.1, 0.5)) * draw.uniform(0.4, 1.1))
    if draw.chance(0.3):
        limbic = draw.smooth(grid, draw.uniform(15, 30)).clamp(min=0) * anatomy.grey
        flair = torch.maximum(flair, (limbic * draw.uniform(0, 0.25)).clamp(max=0.6))
    first, second = draw.smooth(grid, draw.uniform(8, 14)), draw.smooth(grid, draw.uniform(8, 14))
    vessels = (first.abs() < 0.13) & (second.abs() < 0.13) & (anatomy.fluid + (anatomy.brain_mm > -4) > 0.4)
    plexus = (anatomy.ventricle_mm < 1) & (draw.smooth(grid, 7.0) > 1.2)
    sinus = (anatomy.place_mm[2].abs() < draw.uniform(2, 5)) & (anatomy.brain_mm.abs() < draw.uniform(1, 4))
    sinus &= anatomy.place_mm[0] > -20
    return Harmless(flair * (anatomy.white + 0.5 * anatomy.grey), vessels | plexus | sinus)


def _mixed(base: Image, over: Image, mask: Bool[Tensor, "slices rows columns"], grid: Grid, draw: Draw) -> Image:
    """`over` within the mask, with a border as soft as chance makes it."""
    sigma_mm = draw.uniform(0.5, 2.2)
    share = blur(mask.float(), [sigma_mm / step for step in grid.spacing_mm])
    return base + (over - base) * share
