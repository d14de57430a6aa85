"""Fixtures shared by all tests; what they are made of stands in modules of its own beside this one."""

from pathlib import Path

import pytest

from tests.real_data import RealData, find_real_data


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest) -> RealData:
    """The archives of real images; skips where they are absent."""
    cache = request.config.cache
    assert cache is not None
    return find_real_data(cache.mkdir("real-images"))


@pytest.fixture(scope="session")
def chest_ct(real_data: RealData) -> Path:
    """Chest CT, 99 slices of 3 mm."""
    return real_data.folder("ct_chest_C3N-00247") / "2-LUNG 3.0  B70f-04083"


@pytest.fixture(scope="session")
def whole_study(real_data: RealData) -> Path:
    """A study as a PACS sends it, one folder per series: CT (JPEG-LS), scout, PET, three SEG, real world value mapping."""
    return real_data.folder("study_ACRIN") / "36850343327463"


@pytest.fixture(scope="session")
def abdomen_ct(real_data: RealData) -> Path:
    """Abdominal CT, 41 slices of 5 mm, padded with -2000."""
    return real_data.folder("ct_abdomen_CRLM-CT-1004") / "CRLM-CT-1004" / "image"


@pytest.fixture(scope="session")
def brain_mr(real_data: RealData) -> Path:
    """Contrast T1 of the brain, 120 slices, JPEG-LS."""
    return real_data.folder("mr_brain_T1c_VS-SEG-001") / "VS-SEG-001_jpegls"


@pytest.fixture(scope="session")
def odd_files(real_data: RealData) -> Path:
    """Files of many kinds, whole and broken; index.json describes them."""
    return real_data.folder("odd_and_interop_dev") / "odd_dev"


@pytest.fixture(scope="session")
def small_extras(real_data: RealData) -> Path:
    """A small labelled chest CT and a few labelled extracts."""
    return real_data.folder("small_extras_dev") / "small_extras"
