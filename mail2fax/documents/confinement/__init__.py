"""What a worker cannot do, not even one that a document has taken over.

    namespaces  no network, no processes but its own, which end with it
    privileges  none, for good; its memory is nobody's to read
    limits      memory, time, sizes, open files, processes
    files       reads programs, libraries and fonts; writes its own folder (Landlock)
    calls       no sockets, no new programs, nothing of the kernel that documents have no use for (seccomp)

Each layer stands without the others: a kernel or a container that refuses one of them keeps the rest. `layers` says
which ones are in force.
"""

import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from mail2fax.documents.confinement import calls, files, limits, namespaces, privileges
from mail2fax.documents.orders import Limits

__all__ = ["alone", "enter", "layers", "limits", "namespaces", "prepare", "privileges"]


def alone(descriptor: int) -> None:
    """Just forked: keep this one descriptor, as number 3, and nothing else of the forkserver."""
    os.setpgid(0, 0)  # what it may start (LibreOffice) ends with it, where there are no namespaces
    signal.set_wakeup_fd(-1)
    for ignored in (signal.SIGTERM, signal.SIGINT):  # but SIGCHLD, whose handler does nothing
        signal.signal(ignored, signal.SIG_DFL)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(descriptor, 3)
    for number in (0, 1, 2):  # parsers print what they find; a sender's bytes have no place in the server's log
        os.dup2(quiet, number, inheritable=True)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    privileges.end_with_parent()


def enter(most: Limits, folder: Path, *, office: bool, template: str = "") -> frozenset[str]:
    """Take all of it upon this process, for good, before it reads a byte of the mail. The layers that took hold.

    `folder` is the one that it may write. `office`: it may start LibreOffice. `template`: its cover page's own.
    """
    limits.take(most, office=office)
    held = {
        "privileges": privileges.drop(),
        "landlock": files.confine(folder, office=office, template=template),
        "seccomp": calls.confine(office=office),  # the last one: it bars the calls that the others are made with
    }
    return frozenset(name for name, took in held.items() if took)


def prepare() -> None:
    """What of it can be done once, before the first fork."""
    files.prepare()
    calls.prepare()
    limits.counted_apart()


def layers(entered: Iterable[str], held: Iterable[str]) -> Mapping[str, bool]:
    """Every layer, and whether it is in force. `entered`: what `namespaces.leave` said, `held` what `enter` said."""
    spaces = {f"{kind} namespace": kind in entered for kind in namespaces.wanted()}
    return spaces | {name: name in held for name in ("privileges", "landlock", "seccomp")}
