"""The forkserver's memory, arranged such that a worker has to copy little of it.

A forked process shares each page of memory with its parent until one of them writes to it. Then the page is copied,
which takes the kernel some 3 microseconds; an ordinary document takes 1,400 of them. That is a third of what it costs.
"""

import ctypes
import gc
import sys

_SIZES = (*(1 << power for power in range(16, 10, -1)), *range(1024, 0, -16))  # bytes, the largest first
_TOP = 1 << 18  # bytes at the end of the heap that are as good as new


def settle() -> None:
    """To be called when everything is loaded, before the first fork."""
    gc.collect()
    gc.freeze()  # a worker's garbage collector leaves what is there alone, so that it stays shared
    if sys.platform == "linux":
        _fill_gaps()


def _fill_gaps() -> None:
    """Take up for good what memory was freed between things that stay.

    A worker would be given these gaps, each on another page to be copied. So it gets new pages, one after the other.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_size_t
    libc.sbrk.argtypes, libc.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_size_t
    end = libc.sbrk(0) - _TOP
    for size in _SIZES:
        while 0 < libc.malloc(size) < end:
            pass
