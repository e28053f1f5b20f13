"""Namespaces of the kernel's: the forkserver leaves the machine's network, and each worker its processes.

Without privileges this takes a user namespace of one's own. Root keeps its user: in a new namespace it could no longer
load a program that lies in somebody's home. Some containers (Docker's usual profile) and some systems (Ubuntu since
23.10) forbid all of it; the other layers stand without.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

from mail2fax.documents.confinement import privileges

_NEW = {"user": 0x10000000, "network": 0x40000000, "ipc": 0x08000000, "process": 0x20000000}
_LIBC = ctypes.CDLL(None)


def wanted() -> list[str]:
    """The kinds that are to be entered."""
    return [kind for kind in _NEW if kind != "user" or os.geteuid() != 0]


def leave() -> frozenset[str]:
    """Go where there is no network interface, for good and with every worker to come. The kinds that were entered."""
    return frozenset(kind for kind in wanted() if sys.platform == "linux" and _unshare(kind))


def _unshare(kind: str) -> bool:
    return bool(_LIBC.unshare(_NEW[kind]) == 0)


def go_first() -> None:
    """Go on as the first process of the new process namespace: when it ends, whatever is in there ends with it.

    The process that was started waits for it, and ends as it does.
    """
    first = os.fork()
    if first:
        _wait(first)
    privileges.end_with_parent()


def _wait(first: int) -> NoReturn:
    os.close(0)  # the server's socket is the other one's
    _, status = os.waitpid(first, 0)
    os._exit(0 if status == 0 else 1)


class Nursery:
    """Lets each worker be the first process of a namespace of its own: what it starts ends with it."""

    def __init__(self) -> None:
        try:
            self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no /proc, or another system
            self._own = -1

    def fork(self) -> int:
        """`os.fork`, in a new process namespace where that can be had."""
        # Only from its own namespace can a process make another one; the last worker's is left first.
        if self._own >= 0 and _LIBC.setns(self._own, _NEW["process"]) == 0:
            _unshare("process")
        return os.fork()


def die_at(number: signal.Signals) -> None:
    """Let this signal end the process with the exit status of its number.

    The first process of a namespace is spared by every signal it has no handler for, the one for too much time too.
    A handler in Python would have to wait for the C code that takes the time; `_exit` may be called by any.
    """
    _LIBC.signal(int(number), ctypes.cast(_LIBC._exit, ctypes.c_void_p))  # noqa: SLF001 -- the C library's name
