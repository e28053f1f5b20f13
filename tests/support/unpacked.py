"""Programs of Debian that cannot be installed beside Postfix, or need not be: unpacked, and run where they find their places.

A mount namespace of its own gives a program the users and folders that its package would have made; the machine keeps
none of them.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postfix import wait_for


@contextmanager
def unpacked(packages: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """A folder of its own, and in it the root of these packages; skipped where they cannot be had."""
    if os.geteuid() != 0 or not shutil.which("dpkg") or not shutil.which("unshare"):
        pytest.skip(f"needs root, dpkg and unshare to start Debian's {packages[0]}")
    with tempfile.TemporaryDirectory(prefix=f"{packages[0]}-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        got = subprocess.run(
            ["apt-get", "download", *packages], cwd=folder, capture_output=True, check=False, timeout=100
        )
        if got.returncode:
            pytest.skip(f"Debian's {packages[0]} cannot be downloaded: {got.stderr.decode()[-200:]}")
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder / "root"], check=True, timeout=60)
        yield folder, folder / "root"


def with_users(folder: Path, *users: str) -> dict[str, Path]:
    """Files to be mounted: the machine's users and groups with these besides, numbered from 64321 on."""
    for kind in ("passwd", "group"):
        lines = [Path("/etc", kind).read_text().rstrip("\n")]
        for number, user in enumerate(users, start=64321):
            rest = f"{number}::/var/empty:/bin/false" if kind == "passwd" else ""
            lines.append(f"{user}:x:{number}:{rest}")
        (folder / kind).write_text("\n".join(lines) + "\n")
    return {"/etc/passwd": folder / "passwd", "/etc/group": folder / "group"}


@contextmanager
def running(folder: Path, root: Path, script: str, port: int, mounts: Mapping[str, Path]) -> Iterator[None]:
    """The program, from when it listens on this port; what it prints is in the folder's `log`."""
    binds = [f"mount --bind {shlex.quote(str(source))} {place}" for place, source in mounts.items()]
    # Where the packages have what the machine lacks.
    libraries = ":".join(str(path) for path in (*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")))
    with (folder / "log").open("wb") as log:
        # In a process namespace, too: whatever ends the tests ends all of it, and no mail server stays behind at work.
        # Its first process is the shell: of a program that is setuid, as Exim, the kernel forgets what it is to die with.
        own = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "-m",
            "-p",
            "-f",
            "--kill-child",
            "--propagation",
            "private",
            "sh",
            "-ec",
        ]
        process = subprocess.Popen(
            [*own, "\n".join([*binds, f"{script} &", "wait"])],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(port)
        yield
    finally:
        process.kill()
        process.wait(10)
