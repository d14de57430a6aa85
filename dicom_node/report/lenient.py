"""Values taken over as they stand, valid or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from pydicom import config

_lock = RLock()


@contextmanager
def lenient() -> Iterator[None]:
    """Without pydicom's validation of values.

    pydicom's switch is global: of two threads that overlap, the second would leave it as the first had set it.
    """
    with _lock, config.disable_value_validation():
        yield
