"""What a worker may take: memory, processor time, sizes, processes."""

import platform
import resource
import signal
from functools import cache
from pathlib import Path

from mail2fax.documents.confinement import namespaces
from mail2fax.documents.orders import Limits

_THREADS = 256  # of all workers; those of LibreOffice, some 20 a worker, are not the only ones
_SINCE = (5, 14)  # the first Linux that counts processes by user namespace, not all that this user has anywhere


def take(limits: Limits, *, office: bool) -> None:
    """Set what this process may take. macOS ignores the one on memory."""
    _set(resource.RLIMIT_AS, limits.memory)
    # At the soft limit SIGXCPU ends the worker: that is how the pool knows a hang from a crash.
    namespaces.die_at(signal.SIGXCPU)
    _set(resource.RLIMIT_CPU, limits.cpu_seconds, 2)
    _set(resource.RLIMIT_FSIZE, limits.file_size)
    _set(resource.RLIMIT_NOFILE, limits.files)
    _set(resource.RLIMIT_CORE, 0)  # a core file would hold the document
    if counted_apart():
        _set(resource.RLIMIT_NPROC, _THREADS * (4 if office else 1))


@cache
def counted_apart() -> bool:
    """Whether the kernel counts this user namespace's processes only. The forkserver asks first: it has /proc."""
    try:
        major, minor = platform.release().split(".")[:2]
        return (int(major), int(minor)) >= _SINCE and not Path("/proc/self/uid_map").read_text()
    except (OSError, ValueError):  # no namespaces; a release with a name of its own
        return False


def _set(what: int, most: int, spare: int = 0) -> None:
    _, hard = resource.getrlimit(what)
    allowed = most + spare if hard == resource.RLIM_INFINITY else min(most + spare, hard)
    resource.setrlimit(what, (min(most, allowed), allowed))
