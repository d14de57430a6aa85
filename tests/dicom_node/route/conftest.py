"""Fixtures of routing's tests."""

from collections.abc import Callable

import pytest

from dicom_node.model import Series
from tests.dicom_node.route.plain_series import make_series


@pytest.fixture
def series() -> Callable[..., Series]:
    """Makes series of plain facts."""
    return make_series
