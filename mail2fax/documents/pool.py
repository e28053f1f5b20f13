"""Where a mail is made into documents: a fresh process each, made ready in advance, within limits.

The server never parses a mail or a PDF. A worker that crashes, hangs or is killed takes nothing with it but its own
mail, and that one gets a clear answer: it is tried once more, more carefully, and then refused.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import TypeAdapter

from mail2fax import log
from mail2fax.config import Documents
from mail2fax.documents import orders
from mail2fax.documents.environment import environment
from mail2fax.documents.orders import ENDED, Answer, Limits, Made, Order, Task
from mail2fax.model import Permanent, Reason

_MOST_ANSWER = 1 << 23  # bytes; a worker that says more is not ours any more
_SECOND_SHARE = 0.25  # of the time limits is for the second attempt, which takes the quick way
_VANISHED = "vanished"
_OUT_OF_TIME = "out of time"
_PATIENCE = 5.0  # seconds for the forkserver to end by itself
_LAYERS: TypeAdapter[dict[str, bool]] = TypeAdapter(dict[str, bool])
ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


class WorkerError(RuntimeError):
    """No fault of the mail's, and twice. The text names a signal or lines of code, nothing of the document."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """What came of one attempt."""

    made: Made | None = None
    how: str = ""  # "" when it is made
    trace: str = ""

    @property
    def from_outside(self) -> bool:
        """Whether the mail is not to blame: an operator, a lack of memory, the end of the forkserver, a busy machine.

        A document that is too much for a worker reaches its limit of processor time. Who runs out of time before that
        waited for the processor.
        """
        return self.how in {"SIGKILL", "SIGTERM", _VANISHED, _OUT_OF_TIME}


class _Forkserver:
    """The process that makes workers."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.layers = asyncio.create_task(self._read_layers())  # what confines its workers

    @classmethod
    async def open(cls) -> Self:
        """Start it. It loads its parsers while we go on."""
        control, theirs = socket.socketpair()
        control.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "mail2fax.documents"),
                stdin=theirs.fileno(),
                env=environment(os.environ),
                start_new_session=True,  # Ctrl-C is for the server, which lets its documents be finished first
            )
        return cls(process, control)

    async def _read_layers(self) -> Mapping[str, bool]:
        """Each layer of confinement, and whether it is in force, as tried. Raises ConnectionError when it has ended."""
        loop, said = asyncio.get_running_loop(), b""
        while not said.endswith(b"\n"):
            piece = await loop.sock_recv(self._control, 4096)
            if not piece:
                raise ConnectionError("the forkserver ended before it was ready")
            said += piece
        return _LAYERS.validate_json(said)

    async def worker(self) -> "_Worker":
        """Order a worker. Comes back before it is there; what is written to it waits for it.

        Raises ConnectionError when the forkserver has ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"w"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return _Worker(self, ours, *await asyncio.open_unix_connection(sock=ours, limit=_MOST_ANSWER))

    async def close(self) -> None:
        """End it, and with it every worker."""
        self.layers.cancel()
        await asyncio.gather(self.layers, return_exceptions=True)
        self._control.close()
        try:
            await asyncio.wait_for(self._process.wait(), _PATIENCE)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class _Worker:
    """The server's end of the socket to one worker. Closing it ends the worker."""

    def __init__(
        self,
        forkserver: _Forkserver | None,
        door: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.forkserver = forkserver
        self._door = door
        self._reader = reader
        self._writer = writer
        self._line = asyncio.create_task(reader.readline())  # the next one
        self.will: Made | None = None  # its account in case it dies on the part it is at

    @property
    def spent(self) -> bool:
        """Whether it ended before it had anything to do: a worker speaks only when it is spoken to."""
        return self._line.done()

    async def do(self, order: Order) -> _Ending:
        """Hand over the order; read lines until the final one, or until the worker has ended."""
        try:
            self._hand_over(order)
            while (line := await self._line).endswith(b"\n"):
                self._line = asyncio.create_task(self._reader.readline())
                answer = ANSWER.validate_json(line)
                if answer.trace:
                    return _Ending(how="failed", trace=answer.trace)
                if answer.final and answer.made:
                    return _Ending(made=_checked(answer.made, order.task))
                self.will = answer.made
        except ConnectionError:
            return _Ending(how=_VANISHED)
        except ValueError:  # a line without end, one that is no Answer, a file that is not its own
            return _Ending(how="babbled")
        return _Ending(how=_how(line))

    def _hand_over(self, order: Order) -> None:
        """The order, and with its first byte the mail, opened here: where it lies is nothing a worker may read."""
        said = orders.line(order)
        mail = os.open(order.task.source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            socket.send_fds(self._door, [said[:1]], [mail])
        finally:
            os.close(mail)
        self._writer.write(said[1:])

    async def close(self) -> None:
        """End the worker, whatever it is doing."""
        self._line.cancel()
        await asyncio.gather(self._line, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _how(last: bytes) -> str:
    """The forkserver's word comes after the worker's last full line."""
    if len(last) < ENDED.size:
        return _VANISHED
    (status,) = ENDED.unpack(last[-ENDED.size :])
    if status == signal.SIGXCPU:
        return "SIGXCPU"
    return signal.Signals(-status).name if -status in set(signal.Signals) else f"exit status {status}"


def _checked(made: Made, task: Task) -> Made:
    """A worker can only deliver files that it wrote into its own folder."""
    for one in made.documents:
        if one.file.parent != task.folder or one.file.is_symlink() or not one.file.is_file():
            raise ValueError("not a file of its own")
    return made


class Pool:
    """Makes documents, as many at once as there are processors."""

    def __init__(self, settings: Documents) -> None:
        self._settings = settings
        self.places = settings.workers or _processors()  # how many mails are made into documents at once
        self._slots = asyncio.Semaphore(self.places)
        self._ready: deque[_Worker] = deque()
        self._forkserver: _Forkserver | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._told: Mapping[str, bool] = {}

    async def start(self) -> None:
        """Have workers made ready. Comes back at once; the first `make` would do it too."""
        await self._refill()

    async def layers(self) -> Mapping[str, bool]:
        """Each layer that confines workers here, and whether it is in force. Raises ConnectionError."""
        async with self._opening:
            self._forkserver = self._forkserver or await self._open()
        return await self._forkserver.layers

    async def make(self, task: Task) -> Made:
        """Make a mail into documents.

        A part on which two workers died, the second one more careful, is refused as TOO_COMPLEX in the account.
        Raises Permanent(TOO_COMPLEX) when they died before they had an account; WorkerError when it is no fault of
        the mail: our own code failed, somebody ends the workers, or the machine is too busy; then later may do.
        """
        settings = self._settings
        async with self._slots:
            limits = Limits(settings.memory, settings.cpu_seconds)
            first, _ = await self._attempt(Order(task, limits), settings.wall_seconds * (1 - _SECOND_SHARE))
            if first.made:
                return first.made
            log.worker_ended(folder=task.folder.name, how=first.how, trace=first.trace, again=True)
            wall = settings.wall_seconds * (1 if first.from_outside else _SECOND_SHARE)
            second, will = await self._attempt(_again(task, limits, first), wall)
        if second.made:
            return second.made
        log.worker_ended(folder=task.folder.name, how=second.how, trace=second.trace, again=False)
        if second.trace or second.from_outside:
            raise WorkerError(second.trace or second.how)
        if will:
            return will
        raise Permanent(Reason.TOO_COMPLEX, "5.6.0", note=f"worker ended: {second.how}")

    async def _attempt(self, order: Order, wall: float) -> tuple[_Ending, Made | None]:
        worker = await self._take()
        ending = _Ending(how=_OUT_OF_TIME)
        try:
            async with asyncio.timeout(wall):
                ending = await worker.do(order)
        except TimeoutError:
            pass
        finally:
            await worker.close()
        if ending.how == _VANISHED:
            await self._drop(worker.forkserver)
        return ending, worker.will

    async def _take(self) -> _Worker:
        """A worker that is ready, and another one in its place."""
        worker = await self._next()
        while worker.spent:  # killed while it stood ready
            await worker.close()
            worker = await self._next()
        await self._refill()
        return worker

    async def _next(self) -> _Worker:
        await self._refill(1)
        return self._ready.popleft()

    async def _refill(self, least: int = 0) -> None:
        async with self._opening:
            if self._closed:  # what is being made ends with its worker; a second attempt would leave processes behind
                raise WorkerError("the pool is closed")
            while len(self._ready) < (least or self.places):
                self._forkserver = self._forkserver or await self._open()
                try:
                    self._ready.append(await self._forkserver.worker())
                except ConnectionError:
                    await self._shut()

    async def _open(self) -> _Forkserver:
        forkserver = await _Forkserver.open()
        forkserver.layers.add_done_callback(self._tell)
        return forkserver

    def _tell(self, layers: asyncio.Future[Mapping[str, bool]]) -> None:
        """Say what confines the workers: once, and when it has changed."""
        if layers.cancelled() or layers.exception() or layers.result() == self._told:
            return
        self._told = layers.result()
        missing = [name for name, held in self._told.items() if not held]
        log.confined(by=[name for name in self._told if name not in missing], missing=missing)

    async def _drop(self, forkserver: _Forkserver | None) -> None:
        """A worker ended without the forkserver's last word: the forkserver is no more."""
        async with self._opening:
            if forkserver is self._forkserver:
                await self._shut()

    async def _shut(self) -> None:
        while self._ready:
            await self._ready.pop().close()
        if self._forkserver:
            await self._forkserver.close()
            self._forkserver = None

    async def close(self) -> None:
        """End every worker and the forkserver, for good."""
        async with self._opening:
            self._closed = True
            await self._shut()


def _again(task: Task, limits: Limits, first: _Ending) -> Order:
    """The second attempt: as the first if that was ended by somebody else, else careful and short."""
    if first.from_outside:
        return Order(task, limits)
    quick = max(1, round(limits.cpu_seconds * _SECOND_SHARE))
    return Order(task, Limits(limits.memory, quick), careful=True)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
