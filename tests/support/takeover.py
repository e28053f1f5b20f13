"""A document that takes over its worker: what it would try, played inside a real worker of a real pool.

`python -m tests.support.takeover FOLDER [LACKING]` lays out in FOLDER what a gateway has (a token, a spool, sockets),
has a pool make a hostile mail, and prints what the mail reached, as JSON.
"""

import asyncio
import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = b"X-Takeover: "
LIBC = ctypes.CDLL(None, use_errno=True)
LAYERS = {
    "namespaces": "unshare setns",
    "landlock": "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    "seccomp": "seccomp",
}

# Loaded by every Python of the pool's: what is here in place of an exploit.
CUSTOMIZE = "from tests.support import takeover\ntakeover.take_over({lacking!r})\n"


def take_over(lacking: str) -> None:
    """Replace the making of documents for mails that ask for it. `lacking`: a layer that this kernel has not."""
    without(lacking)
    from mail2fax.documents import assembly
    from mail2fax.documents.orders import Made

    honest = assembly.make

    def make(task, mail, **how):
        if not mail.startswith(MARK):
            return honest(task, mail, **how)
        order = json.loads(mail[len(MARK) :])
        return Made(text=json.dumps(globals()[order.pop("do")](task.folder, **order)))

    assembly.make = make


def without(layer: str) -> None:
    """Have the kernel refuse a layer's calls, as the filters of some containers do."""
    if not layer:
        return
    import seccompy

    refused = seccompy.Filter(default=seccompy.Action.ALLOW)
    for name in LAYERS[layer].split():
        refused.errno(name, errno.EPERM)
    refused.load()


# -- in the worker


def outcome(attempt: Callable[[], Any]) -> str:
    """ "reached", or why not."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return type(error).__name__
    return "reached"


def called(result: int) -> None:
    """Raise what a C function has set."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def connect(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)


def write_spool(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=1)) as spool, spool:
        spool.execute("insert into shared values ('key', 'mine')")


def spawn() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def everything(folder: Path, here: str, port: int, pids: list[int]) -> dict[str, str]:
    """Each attempt, and what came of it."""
    place = Path(here)
    tries: dict[str, Callable[[], Any]] = {
        "read the token": (place / "token").read_bytes,
        "read the settings": (place / "mail2fax.toml").read_bytes,
        "read the spool": (place / "spool.db").read_bytes,
        "list the contents": lambda: os.listdir(place / "spool.db.contents"),
        "write the spool": lambda: write_spool(str(place / "spool.db")),
        "make a file elsewhere": lambda: (place / "mine").write_bytes(b""),
        "change a mode": lambda: (place / "token").chmod(0o644),
        "change a time": lambda: os.utime(place / "token"),
        "link a file in": lambda: os.link(place / "token", folder / "1.pdf"),
        "leave a symlink": lambda: (folder / "2.pdf").symlink_to(place / "token"),
        "leave a pipe": lambda: os.mkfifo(folder / "3.pdf"),
        "a unix socket": lambda: connect(socket.AF_UNIX, str(place / "socket")),
        "an abstract socket": lambda: connect(socket.AF_UNIX, f"\0{place}"),
        "tcp": lambda: connect(socket.AF_INET, ("127.0.0.1", port)),
        "a name server": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "start a process": spawn,
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "a new namespace": lambda: called(LIBC.unshare(0x10000000)),
        "mount": lambda: called(LIBC.mount(b"none", str(folder).encode(), b"tmpfs", 0, None)),
        "io_uring": lambda: called(LIBC.syscall(425, 1, None)),
        "trace itself": lambda: called(LIBC.ptrace(0, 0, None, None)),
        "the user's keys": lambda: called(LIBC.syscall(250, 0, -4, 1)),
        "memory of the first": lambda: Path("/proc/1/mem").open("rb"),
    }
    for pid in pids:
        tries[f"signal {pid}"] = lambda pid=pid: os.kill(pid, 0)
        tries[f"trace {pid}"] = lambda pid=pid: called(LIBC.ptrace(16, pid, None, None))
        tries[f"environment of {pid}"] = Path(f"/proc/{pid}/environ").read_bytes
        tries[f"memory of {pid}"] = lambda pid=pid: Path(f"/proc/{pid}/mem").open("rb")
        tries[f"limits of {pid}"] = lambda pid=pid: called(LIBC.prlimit(pid, 7, None, (ctypes.c_ulong * 2)()))
    found = {name: outcome(attempt) for name, attempt in tries.items()}
    return found | state()


def state() -> dict[str, str]:
    """What this process has and is."""
    words = (ctypes.c_uint32 * 6)()
    LIBC.capget((ctypes.c_uint32 * 2)(0x20080522, 0), words)
    descriptors = [number for number in range(64) if outcome(lambda number=number: os.fstat(number)) == "reached"]
    return {
        "capabilities": str(any(words)),
        "descriptors": str(descriptors),
        "dumpable": str(LIBC.prctl(3, 0, 0, 0, 0)),
    }


def leave_a_child(folder: Path) -> dict[str, str]:
    """A grandchild in a session of its own that counts for as long as it lives."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(10_000):
                (folder / "count").write_text(str(number))
                time.sleep(0.01)
        os._exit(0)
    while not (folder / "count").exists():
        time.sleep(0.01)
    return {}


def spin(folder: Path) -> dict[str, str]:
    """C code that does not come back."""
    return {"": str(pow(3, 10**9))}


def crash(folder: Path, number: int) -> dict[str, str]:
    """A fault of the processor's, or C code that gives up."""
    if number == signal.SIGABRT:
        LIBC.abort()
    ctypes.string_at(0)
    return {}


# -- around it


def mail(do: str, **order: Any) -> bytes:
    """A mail that does this once it is read."""
    return MARK + json.dumps({"do": do, **order}).encode()


def customize(place: Path, lacking: str = "") -> str:
    """A folder for the front of sys.path."""
    (place / "custom").mkdir(exist_ok=True)
    (place / "custom" / "sitecustomize.py").write_text(CUSTOMIZE.format(lacking=lacking))
    return str(place / "custom")


def lay_out(place: Path) -> list[socket.socket]:
    """What a gateway has lying about; the sockets listen."""
    for name in ("token", "mail2fax.toml"):
        (place / name).write_text("secret")
        (place / name).chmod(0o600)
    (place / "spool.db.contents" / "work").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(place / "spool.db")) as spool, spool:
        spool.execute("create table shared (name text, value text)")
    sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()]
    for each, address in zip(sockets, (str(place / "socket"), f"\0{place}", ("127.0.0.1", 0)), strict=True):
        each.bind(address)
        each.listen()
    return sockets


async def attack(place: Path, lacking: str) -> dict[str, Any]:
    """What a hostile mail reaches, and what of the worker is confined."""
    import psutil

    from mail2fax.config import Documents
    from mail2fax.documents.orders import Task
    from mail2fax.documents.pool import Pool

    sys.path.insert(0, customize(place, lacking))
    sockets = lay_out(place)
    pool = Pool(Documents(workers=2))
    try:
        layers = dict(await pool.layers())
        await pool.start()
        await asyncio.sleep(0.3)
        pids = [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]
        source = place / "spool.db.contents" / "mail"
        source.write_bytes(mail("everything", here=str(place), port=sockets[2].getsockname()[1], pids=pids))
        made = await pool.make(Task(source, source.parent / "work"))
    finally:
        await pool.close()
    return {"layers": layers, "found": json.loads(made.text)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(Path(sys.argv[1]), *sys.argv[2:] or [""]))))
