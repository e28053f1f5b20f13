"""What a worker cannot do: reach the network, outlive its forkserver, take more than its limits, see other workers."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping

from mail2fax.documents.orders import Limits

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LIBC = ctypes.CDLL(None)

# All that a worker needs to know of its surroundings. The server's own variables hold tokens and passwords.
_NEEDED = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT"})


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of the forkserver, given at its start so that /proc never shows another."""
    kept = {name: value for name, value in own.items() if name in _NEEDED}
    return kept | {
        # As the server imports, so does the forkserver, wherever it was started from.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUTF8": "1",
        # Typst would start a thread for each processor, and their stacks count as memory: one document, one thread.
        "RAYON_NUM_THREADS": "1",
    }


def leave_network() -> bool:
    """Go where there is no network interface, for good and with every worker to come, if the kernel lets us.

    Without privileges this takes a user namespace of one's own, which also bars the way to the memory and environment
    of the server. Root keeps its user: in a new namespace it could no longer open files of others. Some containers
    forbid both; then the firewall has to do it (docs/operations.md).
    """
    if sys.platform != "linux":
        return False
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    return bool(_LIBC.unshare(flags) == 0)


def alone(descriptor: int) -> None:
    """Just forked: keep this one descriptor, as number 3, and nothing else of the forkserver."""
    os.setpgid(0, 0)  # what it may start (LibreOffice) ends with it
    signal.set_wakeup_fd(-1)
    for ignored in (signal.SIGTERM, signal.SIGINT):  # but SIGCHLD, whose handler does nothing
        signal.signal(ignored, signal.SIG_DFL)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(descriptor, 3)
    for number in (0, 1, 2):  # parsers print what they find; a sender's bytes have no place in the server's log
        os.dup2(quiet, number, inheritable=True)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def limit(limits: Limits) -> None:
    """Set what this process may take. macOS ignores the one on memory."""
    _set(resource.RLIMIT_AS, limits.memory)
    # At the soft limit SIGXCPU ends the worker: that is how the pool knows a hang from a crash.
    _set(resource.RLIMIT_CPU, limits.cpu_seconds, 2)
    _set(resource.RLIMIT_FSIZE, limits.file_size)
    _set(resource.RLIMIT_NOFILE, limits.files)
    _set(resource.RLIMIT_CORE, 0)  # a core file would hold the document


def _set(what: int, most: int, spare: int = 0) -> None:
    _, hard = resource.getrlimit(what)
    allowed = most + spare if hard == resource.RLIM_INFINITY else min(most + spare, hard)
    resource.setrlimit(what, (min(most, allowed), allowed))
