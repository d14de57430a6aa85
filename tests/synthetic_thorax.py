"""Hounsfield units of a schematic thorax at any point of the patient: body, ribs, spine, heart, liver, airways, lungs."""

import numpy as np

LUNG_HU = -850
NOISE_HU = 12


def thorax_hu(points_mm: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU (int16), left lung and right lung (vessels included) at points [slice, row, column, LPS]; the origin is mid-chest."""
    shape = points_mm.shape[:-1]
    hu, left, right = np.empty(shape, np.int16), np.empty(shape, bool), np.empty(shape, bool)
    noise = np.random.default_rng(seed)
    for number, plane in enumerate(points_mm):
        x, y, z = np.moveaxis(plane.astype(np.float32), -1, 0)
        values, left[number], right[number] = _plane(x, y, z)
        hu[number] = np.clip(values + noise.normal(0, NOISE_HU, x.shape), -1024, 3071)
    return hu, left, right


def _plane(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU before noise, left and right lung; x grows to the left, y to the back, z to the head."""
    hu = np.full(x.shape, -1000.0, np.float32)
    taper = 1 - 0.25 * np.clip((z - 60) / 70, 0, 1)
    outer = np.hypot(x / (165 * taper), y / (112 * taper))
    hu[outer < 1] = -100
    hu[outer < 0.94] = 50
    ribs = (outer > 0.84) & (outer < 0.9) & (np.mod(z + 0.45 * y, 26) < 10)
    hu[ribs] = 350
    lungs = _lungs(x, y, z, taper)
    left, right = lungs & (x > 0), lungs & (x < 0)
    inside = np.flatnonzero(lungs)
    hu.ravel()[inside] = _parenchyma(x.ravel()[inside], y.ravel()[inside], z.ravel()[inside])
    spine = np.hypot(x / 18, (y - 72) / 16) < 1
    hu[spine] = 220
    hu[np.hypot(x, y - 92) < 8] = 30
    hu[np.hypot(x / 20, (y + 94) / 7) < 1] = 180
    airways = _airways(x, y, z)
    hu[airways] = -990
    return hu, left & ~airways, right & ~airways


def _lungs(x: np.ndarray, y: np.ndarray, z: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """Two ellipsoids within the rib cage, cut by mediastinum, heart and the domes of the diaphragm."""
    side = np.where(x > 0, 72.0, -74.0) * taper
    ellipsoid = ((x - side) / (62 * taper)) ** 2 + ((y - 2) / (90 * taper)) ** 2 + (np.maximum(z, 0) / 118) ** 2 < 1
    cage = np.hypot(x / (165 * taper), y / (112 * taper)) < 0.82
    mediastinum = np.abs(x) < 20 + 8 * np.clip(-y / 60, -0.4, 1)
    heart = ((x - 28) / 58) ** 2 + ((y + 32) / 48) ** 2 + ((z + 55) / 62) ** 2 < 1
    height = np.where(x > 0, -78.0, -68.0)
    dome = height - 42 * (((x - side) / 62) ** 2 + ((y + 5) / 90) ** 2)
    return np.asarray(ellipsoid & cage & ~mediastinum & ~heart & (z > dome))


def _parenchyma(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Lung tissue, denser at the back, with vessels that thin out away from the hilum."""
    hilum = np.sqrt((np.abs(x) - 30) ** 2 + (y - 5) ** 2 + z**2)
    web = np.sin(x / 4.3 + np.sin(z / 9)) * np.sin(y / 5.1 + np.cos(x / 11)) * np.sin(z / 6.7 + np.sin(y / 8))
    vessels = web > 0.45 + hilum / 250
    return np.where(vessels, 20.0, LUNG_HU + 0.4 * y).astype(np.float32)


def _airways(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The trachea down to the carina at z = 10 mm and the two main bronchi."""
    trachea = (np.hypot(x, y - 22) < 9) & (z > 10)
    depth = 10 - z
    bronchi = (depth >= 0) & (depth < 30) & (np.hypot(np.abs(x) - 0.9 * depth - 4, y - 20) < 7)
    return np.asarray(trachea | bronchi)
