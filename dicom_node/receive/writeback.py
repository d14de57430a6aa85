"""Starting to write a file to the disk before it is whole, so that less is left when it is synchronised.

Source: sync_file_range(2). It promises nothing about durability, and nothing is promised because of it: fsync follows.
"""

import ctypes

SYNC_FILE_RANGE_WRITE = 2
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


def start_writeback(descriptor: int, start: int, count: int) -> None:
    """Have the kernel begin to write these bytes; does not wait. Where the system has no such call, fsync writes them all."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, start, count, SYNC_FILE_RANGE_WRITE)
