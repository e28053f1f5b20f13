"""A fax line on loopback: HylaFAX dials with one soft modem, and answers with another. Debian 12, as root.

The programs are fetched by apt-get and unpacked below the line's folder: nothing is installed, no service starts, and
mgetty-fax, with whose package HylaFAX's conflicts, may be there. Outside of the folder there are two links in /dev while
the line is up, and an empty /etc/iaxmodem. HylaFAX's programs want root as their real user and drop to uucp.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

PACKAGES = ("hylafax-server", "hylafax-client", "iaxmodem")
NEEDED = ("gs", "tiffcp", "unshare", "apt-get", "dpkg")  # gs makes the dots, as HylaFAX's pdf2fax calls it

_QUEUES = "archive client dev docq doneq info log pollq recvq sendq status tmp"
_ANSWERS = "4165550102"
# Normal and fine, up to 14400 bit/s, letter to A3, MH MR MMR, with error correction: T.30, as AT+FDIS words it.
_ABLE = "(0,1),(0-5),(0-4),(0-2),(0,1,3),(0,2),(0),(0-7)"

_QUEUE = """\
LogFacility: daemon
CountryCode: 1
AreaCode: 416
DialStringRules: etc/dialrules
UUCPLockDir: {locks}
SendFaxCmd: {folder}/send
MaxConcurrentCalls: 1
ModemGroup: "any:^{caller}$"
{again}"""
_MODEM = """\
CountryCode: 1
AreaCode: 416
FAXNumber: {number}
DialStringRules: etc/dialrules
UUCPLockDir: {locks}
SessionTracing: 0x4F
RecvFileMode: 0644
LogFileMode: 0644
DeviceMode: 0660
RingsBeforeAnswer: 1
TagLineFont: etc/lutRS18.pcf
TagLineFormat: ""
MaxRecvPages: 200
ModemType: Class1
ModemResetCmds: "ATH1\\nAT+VCID=1"
ModemReadyCmds: ATH0
Class1AdaptRecvCmd: AT+FAR=1
Class1TMConnectDelay: 400
ModemResetDelay: 50
ModemSoftResetCmdDelay: 50
ModemATCmdDelay: 10
{again}"""
# Seconds until it dials again: the modem that answers is busy for some seconds after a call.
_AGAIN = "JobReqBusy: 8\nJobReqNoAnswer: 8\nJobReqNoCarrier: 8\nJobReqProto: 8\nJobReqOther: 8\n"
_SOFT_MODEM = """\
device /dev/{device}
owner uucp:uucp
mode 660
port {port}
server 127.0.0.1:{other}
refresh 0
peername {device}
secret none
cidname {device}
cidnumber {number}
codec slinear
nodaemon
"""
_SETUP = """\
AWK=awk CAT=cat CHGRP=chgrp CHMOD=chmod CHOWN=chown CP=cp ECHO=echo GREP=grep LN=ln MV=mv RM=rm SED=sed MKFIFO=mkfifo
GSRIP=gs PSPACKAGE=gs TIFFBIN=/usr/bin TIFF2PDF=tiff2pdf FONTPATH=/usr/share/fonts/type1/gsfonts ENCODING=base64
SBIN={bin} LIBEXEC={bin} BIN={root}/usr/bin LIBDATA={spool}/etc SPOOL={spool} SENDMAIL=true TTYCMD=tty TARGET=linux
UUCP_LOCKDIR={locks} UUCP_LOCKTYPE=ascii SCRIPT_SH=/bin/sh FAXQ_SERVER=yes HFAXD_SERVER=yes
PATH={bin}:{root}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin LD_LIBRARY_PATH={library}; export PATH LD_LIBRARY_PATH
"""


class NoLineError(RuntimeError):
    """It cannot be put up here; the text says why."""


def missing() -> str:
    """Why no line can be put up here; nothing when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a fax line needs Linux and root"
    if absent := [program for program in NEEDED if not shutil.which(program)]:
        return f"a fax line needs {', '.join(absent)}"
    return ""


class Telephone:
    """The line. It is up within its `with`."""

    def __init__(self, folder: Path, *, exchange: bool = False) -> None:
        """`exchange`: the modems speak through one, where some numbers go wrong (exchange.py)."""
        self._exchange = exchange
        self.folder = folder.resolve()
        self.spool, self.root, self._locks = (self.folder / name for name in ("spool", "root", "locks"))
        self.port = 0  # of hfaxd, on 127.0.0.1
        self._library = self.root / "usr/lib/hylafax"
        self._bin = self._library / "bin"
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if reason := missing():
            raise NoLineError(reason)
        try:
            self._unpack()
            self._lay_out()
            self._start()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def received(self) -> list[Path]:
        """The faxes that arrived, as TIFF, in order."""
        return sorted((self.spool / "recvq").glob("fax*.tif"))

    def log(self, call: str) -> str:
        """What the calling modem wrote of a call."""
        return (self.spool / "log" / f"c{call}").read_text(errors="replace")

    def _unpack(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.folder, *self.folder.parents):
            if folder != self.folder and not folder.stat().st_mode & 0o001:
                message = f"{folder} is closed to the user uucp"
                raise NoLineError(message)
        self.folder.chmod(0o755)
        if (self.root / "usr/sbin/hfaxd").exists():
            return
        debs = self.folder / "debs"
        debs.mkdir(exist_ok=True)
        fetch = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES]
        run = subprocess.run(fetch, cwd=debs, capture_output=True, text=True, check=False)
        if run.returncode:
            message = f"{' '.join(PACKAGES)} could not be downloaded (apt-get update?): {run.stderr[-300:]}"
            raise NoLineError(message)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, self.root], check=True)

    def _lay_out(self) -> None:
        """A spool as the package has it, with its etc inside, and nothing that mails people."""
        shutil.rmtree(self.spool, ignore_errors=True)
        for queue in _QUEUES.split():
            (self.spool / queue).mkdir(parents=True)
        for name in ("bin", "config"):
            shutil.copytree(self.root / "var/spool/hylafax" / name, self.spool / name, symlinks=True)
        etc = self.spool / "etc"
        etc.mkdir()
        for name in ("dialrules", "lutRS18.pcf", "typerules"):
            shutil.copy(self.root / "etc/hylafax" / name, etc)
        for name in ("ps2fax", "pdf2fax"):
            (self.spool / "bin" / name).unlink(missing_ok=True)
            (self.spool / "bin" / name).symlink_to(f"{name}.gs")
        for name in ("notify", "faxrcvd", "wedged"):
            (self.spool / "bin" / name).write_text("#!/bin/sh\n")
        for folder in (self._locks, self.folder / "logs", Path("/etc/iaxmodem")):
            folder.mkdir(exist_ok=True)
        (self.spool / "tmp").chmod(0o1777)

    def _configure(self, devices: list[str], ports: list[int], others: list[int]) -> None:
        etc = self.spool / "etc"
        words = {"folder": self.folder, "spool": self.spool, "root": self.root, "locks": self._locks}
        words |= {"bin": self._bin, "library": self._library, "caller": devices[0], "again": _AGAIN}
        (etc / "setup.cache").write_text(_SETUP.format(**words))
        (etc / "config").write_text(_QUEUE.format(**words))
        (etc / "hosts.hfaxd").write_text("127.0.0.1:21::\nlocalhost:21::\n")
        (etc / "hosts.hfaxd").chmod(0o600)
        # faxq starts this as root in name and uucp in effect, for which the loader ignores LD_LIBRARY_PATH.
        (self.folder / "send").write_text(
            f'#!/bin/bash\nLD_LIBRARY_PATH={self._library} exec {self._bin}/faxsend "$@"\n'
        )
        (self.folder / "send").chmod(0o755)
        for device, number, port, other in zip(devices, ("4165550101", _ANSWERS), ports, others, strict=True):
            (etc / f"config.{device}").write_text(_MODEM.format(number=number, **words))
            soft = _SOFT_MODEM.format(device=device, number=number, port=port, other=other)
            (self.folder / f"{device}.conf").write_text(soft)
        owner = pwd.getpwnam("uucp")
        owned = (self._locks, self.spool, etc, etc / "hosts.hfaxd", *(self.spool / name for name in _QUEUES.split()))
        for path in owned:
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _start(self) -> None:
        self.port = _free(socket.SOCK_STREAM)
        devices = [f"ttyfax{self.port}{end}" for end in "AB"]
        ports = [_free(socket.SOCK_DGRAM) for _ in devices]
        middle = _free(socket.SOCK_DGRAM)
        self._configure(devices, ports, [middle, middle] if self._exchange else ports[::-1])
        configurations = [self.folder / f"{device}.conf" for device in devices]
        modems = (
            sys.executable,
            Path(__file__).with_name("modems.py"),
            *(["--exchange", f"{middle},{ports[0]},{ports[1]}"] if self._exchange else []),
            self.root / "usr/bin/iaxmodem",
            *configurations,
        )
        self._run("modems", "unshare", "--net", *modems)
        for device in devices:
            self._ends.callback(Path("/dev", device).unlink, missing_ok=True)
            _wait(Path("/dev", device).exists, f"/dev/{device}")
        sbin = self.root / "usr/sbin"
        self._run("faxq", sbin / "faxq", "-D", "-q", self.spool)
        _wait(self._scheduled, "faxq")
        self.start_hfaxd()
        command = [self._bin / "faxmodem", "-q", self.spool, "-c", _ABLE, devices[0]]
        subprocess.run(command, check=True, env=self._environment())
        self._run("faxgetty", sbin / "faxgetty", "-q", self.spool, devices[1])
        _wait(lambda: "Running and idle" in self._status(devices[1]), "the modem that answers", 60)

    def start_hfaxd(self) -> None:
        """The server that faxes are given to; again after `stop_hfaxd`."""
        command = (self.root / "usr/sbin/hfaxd", "-d", "-q", self.spool, "-l", "127.0.0.1", "-i", self.port)
        self._hfaxd = self._run("hfaxd", *command)
        _wait(lambda: _answers(self.port), "hfaxd")

    def stop_hfaxd(self) -> None:
        """Kill it, with every connection that it has."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._hfaxd.pid, signal.SIGKILL)
        self._hfaxd.wait()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "LD_LIBRARY_PATH": str(self._library)}

    def _run(self, name: str, *command: object) -> "subprocess.Popen[bytes]":
        with (self.folder / "logs" / name).open("wb") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(),
            )
        self._ends.callback(_end, process)
        return process

    def _scheduled(self) -> bool:
        """Whether faxq reads its FIFO."""
        with contextlib.suppress(OSError):
            os.close(os.open(self.spool / "FIFO", os.O_WRONLY | os.O_NONBLOCK))
            return True
        return False

    def _status(self, device: str) -> str:
        file = self.spool / "status" / device
        return file.read_text(errors="replace") if file.exists() else ""


def _wait(ready: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            message = f"{what} did not come up in {seconds} s"
            raise NoLineError(message)
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """With what it has started; all of that is in the process's own session."""
    for word in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, word)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _free(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
        return bool(probe.recv(3))
    return False
