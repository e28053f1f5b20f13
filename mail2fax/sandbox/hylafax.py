"""The sandbox's HylaFAX dialect: hfaxd's dialogue, with a scheduler that dials nobody.

Jobs live as hfaxd's do (tried on 6.0.7): one that was made and not submitted is part of its connection, unreadable to
others while that is open, and deleted when it ends; one that was submitted stays until it is deleted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from mail2fax.model import Cause
from mail2fax.sandbox.server import Received, Sandbox

_TEXTS = {
    Cause.BUSY: "Busy signal detected; too many attempts to dial",
    Cause.NO_ANSWER: "No answer from remote; too many attempts to dial",
    Cause.NO_FAX: "No carrier detected; too many attempts to dial",
    Cause.HUNG_UP: "No response to PPS repeated 3 times.",
    Cause.NUMBER_INVALID: "Invalid dialing command",
}
_STATES = {"Loading": "READY", "Converting": "ACTIVE", "Pending": "SLEEPING", "Sending": "ACTIVE", "Success": "DONE"}
_SET = 213


@dataclass
class Job:
    """One job. `fax` is what the sandbox took when it was submitted."""

    number: int
    parameters: dict[str, str] = field(default_factory=dict)
    document: bytes = b""
    fax: Received | None = None
    killed: bool = False

    @property
    def state(self) -> str:
        """As JPARM STATE says it."""
        if self.fax is None:
            return "SUSPENDED"
        if self.killed or self.fax.status == "Failed":
            return "FAILED"
        return _STATES.get(self.fax.status, "READY")

    def told(self, name: str) -> str:
        """One parameter, as hfaxd says it."""
        if self.fax is None or name in self.parameters:
            return self.parameters.get(name, "SUSPENDED" if name == "STATE" else "")
        failed, pages = self.state == "FAILED", len(self.fax.pages)
        sent = pages if self.state == "DONE" else self.fax.scenario.pages_sent if failed else 0
        text = "Job aborted by request" if self.killed else _TEXTS.get(self.fax.scenario.cause, "") if failed else ""
        code = "345" if self.killed else "333" if failed else "000"
        facts = {"STATE": self.state, "STATUS": text, "STATUSCODE": code, "NPAGES": str(sent)}
        return {**facts, "TOTPAGES": str(pages), "TOTDIALS": "1" if sent or failed else "0"}.get(name, "")


class Hfaxd:
    """The server's state: the jobs, and which connection made those that are not submitted."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.jobs: dict[int, Job] = {}
        self.address = ""
        self.last = 0  # number
        self.left = 0  # documents that nobody's job holds any more
        self.closed_to = ""  # a login that is refused
        self.broken = False  # whether every question about a job is answered 421


class _Session:
    """One connection."""

    def __init__(self, server: Hfaxd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._stored: dict[str, bytes] = {}
        self._own: dict[int, Job] = {}  # made here, not submitted
        self._job: Job | None = None
        self._user = ""
        self._form = ""
        self._data: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None
        self._open: list[asyncio.StreamWriter] = [writer]
        self._doors: list[asyncio.Server] = []

    async def run(self) -> None:
        """Answer until the client leaves; then what was not submitted is deleted."""
        try:
            await self._answer("220 sandbox server (HylaFAX (tm) Version 6.0.7) ready.")
            while line := (await self._reader.readline()).decode(errors="replace"):
                if not line.endswith("\n"):
                    break  # a command is one whole line
                await self._obey(*line.strip().partition(" ")[::2])
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            for number, job in self._own.items():
                self._server.jobs.pop(number, None)
                self._server.left += bool(job.document)
            for door in self._doors:
                door.close()
            for writer in self._open:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _obey(self, verb: str, rest: str) -> None:
        verb = verb.upper()
        if not self._user and verb not in {"USER", "PASS", "QUIT"}:
            await self._answer("530 Please login with USER and PASS.")
            return
        command = _VERBS.get(verb)
        if command is None:
            await self._answer(f"500 {verb}: Command not recognized.")
            return
        answer = command(self, rest)
        await self._answer(answer if isinstance(answer, str) else await answer)

    async def _answer(self, text: str) -> None:
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()

    # -- the commands

    def log_in(self, name: str) -> str:
        if name == self._server.closed_to:
            return f"530 User {name} access denied."
        self._user = name
        return f"230 User {name} logged in."

    def type(self, _: str) -> str:
        return "200 Type set to Image."

    async def pasv(self, _: str) -> str:
        loop = asyncio.get_running_loop()
        self._data = coming = loop.create_future()

        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.append(writer)
            if not coming.done():
                coming.set_result((reader, writer))

        server = await asyncio.start_server(taken, "127.0.0.1", 0)
        self._doors.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"227 Entering passive mode (127,0,0,1,{port // 256},{port % 256})"

    async def stot(self, _: str) -> str:
        reader, writer = await self._opened()
        name = f"/tmp/doc{len(self._stored) + 1}.ps"  # noqa: S108 -- a name in hfaxd's own spool
        await self._answer(f"150 FILE: {name} (Opening new data connection).")
        self._stored[name] = await reader.read(-1)
        writer.close()
        return f"226 Transfer complete (FILE: {name})."

    async def list(self, queue: str) -> str:
        _, writer = await self._opened()
        await self._answer("150 Opening new data connection.")
        over = queue == "doneq"
        for job in self._server.jobs.values():
            if job.fax and (job.state in {"DONE", "FAILED"}) is over:
                row = self._form.replace("%j", str(job.number)).replace("%a", job.state[0])
                writer.write(row.replace("%J", job.parameters.get("JOBINFO", "")).encode() + b"\r\n")
        writer.close()
        return "226 Transfer complete."

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._data is None:
            raise ValueError
        coming, self._data = self._data, None
        return await asyncio.wait_for(coming, 10)

    def jobfmt(self, form: str) -> str:
        self._form = form.strip('"')
        return "200 JOBFMT command successful."

    def jnew(self, _: str) -> str:
        self._server.last += 1
        number = self._server.last
        self._job = self._own[number] = self._server.jobs[number] = Job(number)
        return f"200 New job created: jobid: {number} groupid: {number}."

    def jparm(self, rest: str) -> str:
        name, _, value = rest.partition(" ")
        if self._job is None:
            return "504 No current job."
        if not value:
            return f"{_SET} {self._job.told(name)}".rstrip()
        if name != "DOCUMENT":
            self._job.parameters[name] = value.strip('"')
            return f"{_SET} {name} set to {value}."
        if value not in self._stored:
            return f"550 {value}: No such file or directory."
        self._job.document = self._stored[value]
        return f"200 Added document {value} as docq/doc{self._job.number}.ps.{self._job.number}."

    async def jsubm(self, _: str) -> str:
        job = self._job
        if job is None or job.number not in self._own:
            return "504 Job already submitted, use JSUSP first."
        lacking = [name for name in ("DIALSTRING", "LASTTIME", "PAGEWIDTH") if name not in job.parameters]
        if lacking:
            return f"504 Cannot submit job {job.number}; null or missing {lacking[0]} parameter."
        sandbox, number = self._server.sandbox, job.parameters["DIALSTRING"]
        scenario = sandbox.scenario(number, job.parameters.get("JOBINFO", ""))
        if not scenario.takes:
            busy = scenario.http in {429, 503}
            why = "Unable to open scheduler FIFO" if busy else "Unspecified reason (scheduler NAK'd request)"
            return f"460 Failed to submit job {job.number}: {why}."
        reference = job.parameters.get("JOBINFO", "")
        job.fax = await sandbox.take(number, f"{reference}.pdf", job.document, scenario, reference)
        del self._own[job.number]
        if scenario.loses:
            raise ConnectionError
        return f"200 Job {job.number} submitted."

    def select(self, rest: str) -> str:
        if self._server.broken:
            return "421 Service not available, closing control connection."
        job = self._server.jobs.get(int(rest) if rest.isdigit() else 0)
        if job is None:
            return f"500 Cannot set job {rest}; job does not exist (No such file or directory)."
        if job.fax is None and job.number not in self._own:
            return f"500 Cannot set job {rest}; invalid or corrupted job description file."
        self._job = job
        return f"200 Current job: jobid: {job.number} groupid: {job.number}."

    def jkill(self, rest: str) -> str:
        job = self._server.jobs.get(int(rest) if rest.isdigit() else 0)
        if job is None or job.fax is None:
            return f"500 Cannot kill job {rest}; job does not exist (No such file or directory)."
        if job.state in {"DONE", "FAILED"}:
            return f"504 Cannot kill job {rest}: it is already done."
        job.killed = True
        return f"200 Job {rest} killed."

    def jdele(self, rest: str) -> str:
        number = int(rest) if rest.isdigit() else 0
        job = self._server.jobs.get(number)
        if job is None:
            return f"500 Cannot delete job {rest}; job does not exist (No such file or directory)."
        if job.fax and job.state not in {"DONE", "FAILED"}:
            return f"504 Cannot delete job {rest}: it is not done."
        del self._server.jobs[number]
        self._own.pop(number, None)
        return f"200 Job {rest} deleted; current job: (default)."


_VERBS: Mapping[str, Callable[[_Session, str], str | Coroutine[None, None, str]]] = {
    "USER": _Session.log_in,
    "TYPE": _Session.type,
    "PASV": _Session.pasv,
    "STOT": _Session.stot,
    "LIST": _Session.list,
    "JOBFMT": _Session.jobfmt,
    "JNEW": _Session.jnew,
    "JPARM": _Session.jparm,
    "JSUBM": _Session.jsubm,
    "JOB": _Session.select,
    "JKILL": _Session.jkill,
    "JDELE": _Session.jdele,
}


@contextlib.asynccontextmanager
async def serve(sandbox: Sandbox, listen: str) -> AsyncIterator[Hfaxd]:
    """An hfaxd that can be reached while the context is open, at `address`."""
    state = Hfaxd(sandbox)
    sessions: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            sessions.add(task)
            task.add_done_callback(sessions.discard)
        await _Session(state, reader, writer).run()

    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(accepted, host, int(port))
    try:
        state.address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        yield state
    finally:
        server.close()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
