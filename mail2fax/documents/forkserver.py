"""The process beside the server that has every parser loaded and makes a fresh worker for each document.

    pool (in the server) --a socket each--> forkserver --fork--> worker: one order in, one account out, end

Run as `python -m mail2fax.documents` with one end of a socket pair as standard input. It says on it what its workers
are confined by, a line of JSON. Then each byte over it carries a socket: fork a worker for it. The worker lives as long
as the server keeps the other end of that socket open; when it ends otherwise, the forkserver says how on the same
socket. Nothing a mail holds is read in this process, so no worker inherits anything of another's.

Own lines rather than multiprocessing's forkserver or pebble: those import the server's main module into every worker,
leave the server's environment (tokens) readable in /proc, and trust the pickles that come back. docs/decisions.md has
the figures.
"""

import base64
import contextlib
import gc
import json
import os
import select
import signal
import socket
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from mail2fax.documents import assembly, confinement, orders
from mail2fax.documents.confinement import namespaces, privileges
from mail2fax.documents.orders import ENDED, Answer, Limits, Order, Task

_PIECE = 1 << 16  # bytes; an order has less
_TRIAL = Limits(memory=1 << 30, cpu_seconds=10)
_REHEARSALS = 10  # Python adapts code to what it is used for at its eighth run; done here, no worker does it again

_SPECIMEN_PDF = b"""\
%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Count 1/Kids[3 0 R]>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R
/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>> endobj
4 0 obj <</Length 33>> stream
BT /F1 12 Tf 72 700 Td (Fax) Tj ET
endstream endobj
trailer <</Root 1 0 R>>
"""
_SPECIMEN = (
    b"""\
From: Anna <anna@office.example>
To: <6474959659@fax.local>
Subject: =?utf-8?q?A_specimen?=
Date: Fri, 14 Nov 2025 09:30:00 -0500
Message-ID: <specimen@office.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="specimen"

--specimen
Content-Type: text/plain; charset="utf-8"

Please see attached.
--specimen
Content-Type: application/pdf; name=specimen.pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="specimen.pdf"

"""
    + base64.encodebytes(_SPECIMEN_PDF)
    + b"--specimen--\n"
)


class Forkserver:
    """Forks workers and buries them. One thread, so that forking is safe."""

    def __init__(self, control: socket.socket, nursery: namespaces.Nursery) -> None:
        self._control = control
        self._nursery = nursery
        self._deaths = _deaths()
        self._workers: dict[int, socket.socket] = {}  # by process id
        self._waiting: dict[int, int] = {}  # process id of each worker that the server waits for, by its socket
        self._poll = select.poll()

    def run(self) -> None:
        """Serve until the server closes its end; then no worker is left."""
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._deaths, select.POLLIN)
        serving = True
        while serving:
            ready = {number for number, _ in self._poll.poll()}
            # In this order, because a new worker's socket may get the number of one that is closed here.
            for number in ready - {self._control.fileno(), self._deaths.fileno()}:
                self._end(number)
            if self._deaths.fileno() in ready:
                self._deaths.recv(4096)
                self._bury()
            if self._control.fileno() in ready:
                serving = self._fork()
        for pid in self._workers:
            _kill(pid)
            os.waitpid(pid, 0)

    def _fork(self) -> bool:
        """One worker for the socket that has come; False when the server has gone."""
        try:
            word, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except ConnectionError:  # it was killed, and had not read all that we said
            return False
        if not word:
            return False
        worker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptors[0])
        try:
            pid = self._nursery.fork()
        except OSError:  # no memory, or too many processes: as if the kernel had ended it
            with worker, contextlib.suppress(OSError):
                worker.send(ENDED.pack(-signal.SIGKILL))
            return True
        if pid == 0:
            _work(descriptors[0])
        self._workers[pid] = worker
        self._waiting[descriptors[0]] = pid
        # No event is asked for: POLLHUP comes unasked when the server has closed its end.
        self._poll.register(descriptors[0], 0)
        return True

    def _bury(self) -> None:
        """Say of every worker that has ended how it ended, if somebody still waits for it."""
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid)
            if worker.fileno() in self._waiting:
                _end_group(pid)  # what it started and left behind
                with contextlib.suppress(OSError):
                    worker.send(ENDED.pack(os.waitstatus_to_exitcode(status)), socket.MSG_DONTWAIT)
                self._forget(worker)

    def _end(self, number: int) -> None:
        """The server has closed its end: it has its answer, or time was up."""
        pid = self._waiting[number]
        _kill(pid)
        self._forget(self._workers[pid])

    def _forget(self, worker: socket.socket) -> None:
        """Nobody waits for it any more."""
        del self._waiting[worker.fileno()]
        self._poll.unregister(worker)
        worker.close()


def _kill(worker: int) -> None:
    """End a worker that has not been buried yet, and all it has started."""
    try:
        os.killpg(worker, signal.SIGKILL)
    except ProcessLookupError:  # it was forked just now and has no group yet
        os.kill(worker, signal.SIGKILL)


def _end_group(worker: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # there is nobody left
        os.killpg(worker, signal.SIGKILL)


def _deaths() -> socket.socket:
    """A socket that becomes readable when a worker has ended."""
    read, write = socket.socketpair()
    read.setblocking(False)
    write.setblocking(False)
    signal.set_wakeup_fd(write.detach(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read


def _work(descriptor: int) -> NoReturn:
    """The worker's whole life."""
    status = 1
    try:
        confinement.alone(descriptor)
        privileges.call("fax-worker")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=3) as door:
            _serve(door)
        status = 0
    finally:
        os._exit(status)  # nothing that the forkserver would do at its end is to be done here


def _serve(door: socket.socket) -> None:
    """Read one order, do it, answer it."""

    def answer(words: Answer) -> None:
        door.sendall(orders.line(words))

    first, descriptors, _, _ = socket.recv_fds(door, 1, 1)
    order = orders.order(first + b"".join(_line(door)))
    _confine(order)
    try:
        made = assembly.make(
            order.task, _read(descriptors[0]), careful=order.careful, report=lambda will: answer(Answer(will))
        )
        answer(Answer(made, final=True))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the server is to log it
        answer(Answer(trace=_trace(error)))


def _read(descriptor: int) -> bytes:
    """The mail. Nobody keeps it: when it was taken apart, its memory is free for the documents."""
    with os.fdopen(descriptor, "rb") as source:
        return source.read()


def _line(door: socket.socket) -> Iterator[bytes]:
    """What the server says, up to the end of the line or to its own end."""
    while piece := door.recv(_PIECE):
        yield piece
        if piece.endswith(b"\n"):
            return


def _trace(error: Exception) -> str:
    """Where it happened. The error's own text is left out: a parser's may quote the document."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__} at {where}"


def _confine(order: Order) -> frozenset[str]:
    """From here on this process may do what the order needs, and nothing else."""
    task = order.task
    template = task.cover.template if task.cover else ""
    return confinement.enter(order.limits, task.folder, office="office" in task.convert, template=template)


def _rehearse(folder: Path) -> None:
    """Make an ordinary mail of our own into a document, all but the reading of the order and the sending of the answer.

    So what our code and the parsers load, compile and look up at their first use is there before the first fork.
    """
    order = orders.order(orders.line(Order(Task(Path(), folder), Limits(0, 0))))
    orders.line(Answer(assembly.make(order.task, _SPECIMEN)))


def _layers(nursery: namespaces.Nursery, folder: Path, entered: Iterable[str]) -> bytes:
    """What confines the workers here, tried by one: a line of JSON."""
    ours, theirs = socket.socketpair()
    with ours:
        pid = nursery.fork()
        if pid == 0:
            _try_on(theirs.fileno(), folder)
        theirs.close()
        held = ours.makefile().read().split(",")
        os.waitpid(pid, 0)
    return json.dumps(confinement.layers(entered, held)).encode() + b"\n"


def _try_on(descriptor: int, folder: Path) -> NoReturn:
    """A worker's life without a mail: take on what confines it, and say what took hold."""
    status = 1
    try:
        confinement.alone(descriptor)
        os.write(3, ",".join(_confine(Order(Task(Path(), folder), _TRIAL))).encode())
        status = 0
    finally:
        os._exit(status)


def run(entered: Iterable[str]) -> None:
    """Be the forkserver until standard input is closed. `entered`: the namespaces that it is in."""
    privileges.call("fax-forkserver")
    nursery = namespaces.Nursery()
    confinement.prepare()
    with tempfile.TemporaryDirectory() as name, socket.socket(fileno=os.dup(0)) as control:
        for _ in range(_REHEARSALS):
            _rehearse(Path(name))
        gc.collect()
        gc.freeze()  # a worker's garbage collector leaves what is there alone, so that its memory stays shared
        with contextlib.suppress(ConnectionError):  # the server has ended meanwhile, and so shall we
            control.sendall(_layers(nursery, Path(name), entered))
        Forkserver(control, nursery).run()
