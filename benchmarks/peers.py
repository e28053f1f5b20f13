"""The servers that are compared, each started on a free port of the loopback, in a folder that goes with it.

mail2fax is `door.py`, the baseline `stock.py`. Postfix is Debian's own binary with a private configuration: every mail
goes to the hold queue, fsynced before its 250; name look-ups and connection limits are off. It needs the package
`postfix` and root; without them it is left out, and the tables say so.
"""

import atexit
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = peer.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
relay_domains = fax.local
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_recipient_restrictions = check_recipient_access static:HOLD, permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 100
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG LD_PRELOAD SLOW_SYNC_US
message_size_limit = 50000000
queue_minfree = 0
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is up."""

    name: str
    port: int
    pid: int  # of the process all its others descend from


Starter = Callable[[], contextlib.AbstractContextManager[Peer]]


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """A folder on a real disk: what is fsynced there costs what it costs. BENCH_DIR puts it elsewhere.

    It goes when the program ends, not before: ext4 without a journal gives out no inode that was freed lately, and looks
    at each of them whenever a file is made. That halves the rate of a peer that makes a file for every mail.
    """
    place = tempfile.mkdtemp(prefix="mail2fax-bench-", dir=os.environ.get("BENCH_DIR"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    yield place


@contextlib.contextmanager
def started(
    module: str, place: str, *words: str, checkout: Path | None = None, **env: str
) -> Iterator[tuple[subprocess.Popen, list[str]]]:
    """A program of this package that is given a folder, and whose first line says its addresses.

    Of another `checkout`, if one is named: with the Python of its own .venv.
    """
    python = checkout / ".venv" / "bin" / "python" if checkout else sys.executable
    with (Path(place) / f"{module}.log").open("wb") as errors:
        # In a session of its own, as Postfix puts itself: Linux shares the processors out by session (autogroup).
        process = subprocess.Popen(
            [python, "-m", module, place, *words],
            cwd=checkout,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=os.environ | env,
        )
        try:
            processes.prefer(process.pid)
            assert process.stdout
            line = process.stdout.readline().decode()
            if not line:
                raise RuntimeError(f"{module} did not start:\n{Path(errors.name).read_text()[-2000:]}")
            for pid in processes.family(process.pid):
                processes.prefer(pid)
            yield process, line.split()
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def program(name: str, module: str, *, checkout: Path | None = None, **env: str) -> Iterator[Peer]:
    """A server of this package, in a folder of its own."""
    with folder() as place, started(module, place, checkout=checkout, **env) as (process, (address, *_)):
        yield Peer(name, int(address.rpartition(":")[2]), process.pid)


def mail2fax(**env: str) -> contextlib.AbstractContextManager[Peer]:
    """The front door of mail2fax."""
    return program("mail2fax", "benchmarks.door", **env)


def other(checkout: Path, **env: str) -> contextlib.AbstractContextManager[Peer]:
    """The front door of another build of mail2fax."""
    return program("the other", "benchmarks.door", checkout=checkout.absolute(), **env)


def stock(**env: str) -> contextlib.AbstractContextManager[Peer]:
    """aiosmtpd as it comes."""
    return program("aiosmtpd", "benchmarks.stock", **env)


@contextlib.contextmanager
def slow_disk(milliseconds: float) -> Iterator[dict[str, str]]:
    """The environment in which every fsync of a server takes so much longer. Needs a C compiler."""
    if not milliseconds:
        yield {}
        return
    with folder() as place:
        Path(place).chmod(0o755)
        library = Path(place) / "slowsync.so"
        source = Path(__file__).with_name("slowsync.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        yield {"LD_PRELOAD": str(library), "SLOW_SYNC_US": str(round(milliseconds * 1000))}


def why_no_postfix() -> str:
    """Why Postfix is left out; "" when it can be started."""
    if not shutil.which("postfix"):
        return "Postfix is left out: it is not installed (Debian: postfix)"
    return "" if os.geteuid() == 0 else "Postfix is left out: only root can start it"


@contextlib.contextmanager
def postfix(**env: str) -> Iterator[Peer]:
    """Postfix, with its hold queue."""
    with folder() as place:
        Path(place).chmod(0o755)
        values = {"folder": place, "port": free_port()}
        config = Path(place) / "etc"
        for part in (config, Path(place) / "queue", Path(place) / "data"):
            part.mkdir()
        shutil.chown(Path(place) / "data", "postfix")
        (config / "main.cf").write_text(_MAIN.format(**values))
        (config / "master.cf").write_text(_MASTER.format(**values))
        command = ["postfix", "-c", str(config)]
        subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60, env=os.environ | env)
        try:
            _wait_for(values["port"])
            pid = int((Path(place) / "queue" / "pid" / "master.pid").read_text())
            processes.prefer(pid)
            yield Peer("Postfix", values["port"], pid)
        finally:
            subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=60)


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("Postfix does not answer")
