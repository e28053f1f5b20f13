"""The only door to the database: every mail and fax that mail2fax answers for, and who acts on it.

All writing goes through one writer with group commit: what is awaited here is on disk when it returns. `put`, `claim`,
`advance`, `retry` and `replied` are the way of a fax; `read` and `change` run the functions of `records` and `desk`.
"""

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Table, select

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import FINAL, Document, Envelope, Fax, Message, Notice, Outcome, Receipt, State, Usage
from mail2fax.rules.backoff import Backoff
from mail2fax.spool import filing, intake, moves, purge, questions
from mail2fax.spool import leases as claims
from mail2fax.spool.contents import CHUNK, Contents, FolderContents, TableContents
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.database import migrations, rows
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.lock import only_one
from mail2fax.spool.database.schema import (
    documents,
    faxes,
    make_room,
    messages,
    notices,
    open_engine,
    shared,
    sqlite_path,
)
from mail2fax.spool.filing import Account, Filed
from mail2fax.spool.inbox import Inbox
from mail2fax.spool.intake import Arrival, unless_known
from mail2fax.spool.leases import Take
from mail2fax.spool.moves import Move

T = TypeVar("T")
P = ParamSpec("P")

WORK_PREFIX = "work-"  # temporary files beside the contents
PREPARE, SUBMIT, RECOVER, POLL, REPLY, NOTICE = "prepare", "submit", "recover", "poll", "reply", "notice"
WORK: Mapping[State, str] = {
    State.RECEIVED: PREPARE,
    State.PREPARED: SUBMIT,
    State.SUBMITTING: RECOVER,
    State.SUBMITTED: POLL,
    **dict.fromkeys(FINAL, REPLY),
}


@contextlib.asynccontextmanager
async def open_spool(settings: Settings, *, serving: bool = False, node: str = "") -> AsyncIterator["Spool"]:
    """Open the spool and bring its schema up to date; to serve, be the only one on an SQLite file.

    Raises locking.Busy when another node serves it, and SQLAlchemy's errors when the database cannot be reached.
    """
    engine = open_engine(settings.spool.url, settings.spool.password.get_secret_value())
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(engine.dispose)
        make_room(engine)
        path = sqlite_path(engine)
        if path and serving:
            stack.enter_context(only_one(path.with_name(path.name + ".lock")))
        await asyncio.to_thread(migrations.upgrade, engine)
        spool = Spool(settings, engine, node or f"{os.uname().nodename}:{os.getpid()}")
        stack.callback(spool.close)
        if serving:
            await spool.take_over()
        yield spool


class Spool(Database):
    """The spool as one node sees it."""

    def __init__(self, settings: Settings, engine: Engine, node: str) -> None:
        super().__init__(engine, settings.spool.lease)
        self.node = node
        self.settings = settings
        self.lease_seconds = settings.spool.lease
        self._contents = _open_contents(engine)
        self._inbox = Inbox(self, self._contents, node, PREPARE)
        self._serving = False
        # Unique among processes, also among those of one container that all have pid 1.
        self._leases = (f"{node}:{secrets.token_hex(4)}:{n}" for n in itertools.count())

    async def take_over(self) -> None:
        """Begin to serve: hear other nodes, or pick up what the last node of this SQLite file left."""
        self._serving = True
        self._journal.distrust()
        await self.change(claims.look_again)
        if isinstance(self._contents, FolderContents):
            await self._writer.do(_free_all)
            await self._inbox.recover(self._contents)
            await self._sweep(self._contents)
            self.keep_log_short()
        else:
            self.listen()

    def close(self) -> None:
        """Write what was asked for, then end the threads."""
        super().close()
        self._contents.close()

    # -- the way in

    def incoming(self) -> Incoming:
        """A place for the bytes of a mail that is arriving."""
        return self._contents.begin(rows.new_id())

    async def put(self, envelope: Envelope, content: Incoming) -> Receipt:
        """Accept a mail. When this returns it is on disk: only then may a client be told 250."""
        receipt = await self._inbox.accept(envelope, content)
        self._wakeups.wake(PREPARE)
        return receipt

    async def forward(self, envelope: Envelope, content: Incoming, recipient: str) -> str:
        """Accept a mail that is only to be passed on to a person. Its queue id."""
        arrival = Arrival(content.name, envelope, content)
        await self._contents.settle(content)
        try:
            await self.hand_on(NOTICE, intake.forward, self._contents, arrival, recipient)
        finally:
            self._contents.done(content)
        return arrival.id

    # -- who acts

    async def claim(self, work: str, limit: int) -> tuple[list[Fax], float | None]:
        """Up to `limit` faxes that need this work, ours for `lease_seconds`; and the seconds until more may be due."""
        take = Take(next(self._leases), self.lease_seconds, limit)
        states = [state for state, needed in WORK.items() if needed == work]

        def operation(connection: Connection) -> tuple[list[Fax], float | None]:
            where = claims.in_states(*states)
            if work == SUBMIT:
                claimed = claims.claim_prepared(connection, take, self.settings.retry.give_up)
            else:
                claimed = claims.claim(connection, faxes, where, take)
            pauses = [] if len(claimed) == limit else [claims.next_due(connection, faxes, where)]
            if work == SUBMIT:
                pauses.append(claims.next_probe(connection))
            return [rows.fax(row) for row in claimed], min((p for p in pauses if p is not None), default=None)

        return await self._writer.do(operation)

    async def claim_notices(self, limit: int) -> tuple[list[Notice], float | None]:
        """Mails owed besides outcomes, as `claim`."""
        take = Take(next(self._leases), self.lease_seconds, limit)

        def operation(connection: Connection) -> tuple[list[Notice], float | None]:
            claimed = claims.claim(connection, notices, claims.OWED, take)
            return [rows.notice(row) for row in claimed], claims.next_due(connection, notices, claims.OWED)

        return await self._writer.do(operation)

    async def renew(self, leases: Collection[str]) -> None:
        """Keep what we are still working on."""
        await self.change(claims.renew, faxes, leases, self.lease_seconds)
        await self.change(claims.renew, notices, leases, self.lease_seconds)

    # -- how a fax moves

    async def advance(
        self,
        fax: Fax,
        state: State,
        *,
        due_in: float = 0.0,
        keep: bool = False,
        event: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> Fax:
        """Move a fax on, with its event, in one transaction; with `keep` we go on acting. Raises LeaseLost."""
        move = Move(state, self.node, columns, event or {}, due_in, self.lease_seconds if keep else 0.0)
        if not keep and not due_in:
            return await self._surely(lambda: self.hand_on(WORK[state], moves.advance, fax, move))
        moved = await self._surely(lambda: self.change(moves.advance, fax, move))
        if not keep:
            self._wakeups.wake_in(WORK[state], due_in)
        return moved

    async def end(self, fax: Fax, outcome: Outcome, event: Mapping[str, Any]) -> Fax:
        """Write how a fax ended, and with it the duty to reply. Raises LeaseLost."""
        known = {"status": outcome.status, "reason": outcome.reason, "detail": outcome.detail}
        move = Move(outcome.state, self.node, columns=known, event=event)
        ended = await self._surely(lambda: self.hand_on(REPLY, moves.advance, fax, move))
        seconds = (ended.now - ended.received_at).total_seconds() if ended.now else 0.0
        log.ended(fax=fax.id, number=fax.number, state=ended.state, reason=ended.reason or "", seconds=seconds)
        return ended

    async def postpone(
        self, fax: Fax, due_in: float, *, what: str = "retry", event: Mapping[str, Any] | None = None, **columns: Any
    ) -> Fax:
        """Keep the state and act again later. Raises LeaseLost."""
        move = Move(fax.state, self.node, columns, event or {}, due_in)
        stayed = await self._surely(lambda: self.change(moves.stay, fax, move, what))
        self._wakeups.wake_in(WORK[fax.state], due_in)
        return stayed

    async def put_back(self, fax: Fax) -> None:
        """Give a claimed fax back as it was."""
        await self.change(moves.release, fax)

    async def replied(self, fax: Fax, how: str, **event: Any) -> Fax:
        """The sender was told ("sent"), need not be ("suppressed") or cannot be ("undeliverable")."""
        return await self._surely(lambda: self.change(moves.replied, fax, how, self.node, event))

    # -- contents

    @contextlib.asynccontextmanager
    async def content(self, message_id: str) -> AsyncIterator[Path]:
        """The bytes of a mail as a file, for as long as the context lasts. Raises FileNotFoundError."""
        async with self._open(messages, message_id) as path:
            yield path

    @contextlib.asynccontextmanager
    async def document(self, document_id: str) -> AsyncIterator[Path]:
        """A prepared PDF as a file, for as long as the context lasts. Raises FileNotFoundError."""
        async with self._open(documents, document_id) as path:
            yield path

    @contextlib.asynccontextmanager
    async def _open(self, table: Table, name: str) -> AsyncIterator[Path]:
        content = await self.read(questions.content, self._contents, table, name)
        if content is None:
            async with self._contents.open(name) as path:
                yield path
            return
        with tempfile.NamedTemporaryFile(dir=self._contents.folder, prefix=WORK_PREFIX) as file:
            file.write(content)
            file.flush()
            yield Path(file.name)

    @contextlib.contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder beside the contents, gone at the end of the context."""
        with tempfile.TemporaryDirectory(dir=self._contents.folder, prefix=WORK_PREFIX) as folder:
            yield Path(folder)

    async def file(
        self,
        fax: Fax,
        account: Account,
        made: Sequence[tuple[Document, str, Path, bytes | None]],
    ) -> Fax:
        """Keep a mail's account and its documents (each with its variant, its file and its preview), and proceed."""
        filed: list[Filed] = []
        try:
            for position, (document, variant, path, preview) in enumerate(made, start=1):
                content = await self._adopted(document.id, path)
                filed.append(Filed(document, variant, position, content, preview))
            return await self.hand_on(SUBMIT, filing.file, self._contents, fax, account, filed, self.node)
        finally:
            for one in filed:
                self._contents.done(one.content)

    async def _adopted(self, name: str, path: Path) -> Incoming:
        """A content of the bytes of a file that was written a moment ago, so that reading it waits for no disk."""
        content = self._contents.begin(name)
        # Not a fresh name: an attempt that was cut off before the commit may have left its file.
        content.path.unlink(missing_ok=True)
        try:
            with path.open("rb") as source:
                while data := source.read(CHUNK):
                    content.write(data)
                    await content.drain()
            await self._contents.settle(content)
        except BaseException:
            content.discard()
            raise
        return content

    async def proceed(self, fax: Fax, made: Sequence[Document]) -> Fax:
        """Move a fax on to `prepared` with its document, and add a fax for each further one."""
        return await self.hand_on(SUBMIT, filing.proceed, fax, made, self.node)

    async def file_refusal(self, message_id: str, account: Account, refusal: Outcome) -> None:
        """Keep why no document can be made of a mail."""
        await self.change(filing.write_account, message_id, account, refusal)

    # -- fax lines

    async def taken(self, fax: Fax, ref: str, due_in: float) -> tuple[Fax, bool]:
        """The provider has the fax, under this reference. Whether its line was in trouble, and is open again."""
        move = Move(State.SUBMITTED, self.node, {"provider_ref": ref}, {"ref": ref}, due_in)
        submitted, calmed = await self._surely(lambda: self.change(claims.taken, fax, move))
        self._wakeups.wake_in(POLL, due_in)
        if calmed:
            self._wakeups.wake(SUBMIT)
        return submitted, calmed

    async def trouble(self, line: str, kind: str, pause: float | None, note: str) -> int:
        """Shut a line for a while. Failures in a row."""
        retry = self.settings.retry
        backoff = Backoff(retry.first, retry.longest)
        return await self._surely(lambda: self.change(claims.trouble, line, kind, pause, backoff, note))

    async def calm(self, line: str) -> bool:
        """Open a line again. Whether it was in trouble."""
        calmed = await self.change(claims.calm, line)
        if calmed:
            # Other nodes look by themselves in a moment.
            self._wakeups.wake(SUBMIT)
        return calmed

    # -- everything else

    async def message(self, message_id: str) -> Message:
        """One mail, without its content."""
        return await self.read(questions.message, message_id)

    async def usage(self, reverse_path: str | None) -> Usage:
        """What was faxed lately, for one reverse-path or in all."""
        return await self.read(questions.usage, reverse_path)

    async def number_today(self, number: str) -> int:
        """Faxes to one number in the last 24 hours."""
        return await self.read(questions.number_today, number)

    async def waiting(self) -> int:
        """Faxes whose outcome is not known yet."""
        return await self.read(questions.waiting)

    def free_bytes(self) -> int | None:
        """Free disk space where mails are kept; None where that is the database server's business."""
        return shutil.disk_usage(self._contents.folder).free if isinstance(self._contents, FolderContents) else None

    async def purge(self) -> tuple[int, int]:
        """Delete what was kept long enough. How many mails lost their contents, how many their history."""
        rules = self.settings.documents
        emptied = await self._all(purge.contents, self._contents, rules.keep_days)
        if self._serving and isinstance(self._contents, FolderContents):  # only a server knows what it is writing
            await self._sweep(self._contents)
        forgotten = await self._all(purge.histories, rules.history_days)
        self.empty_log()
        return emptied, forgotten

    async def _sweep(self, folder: FolderContents) -> None:
        known = folder.in_use()  # asked first: what is begun after this is young
        known |= await self.read(questions.kept_beside)
        await asyncio.to_thread(folder.sweep, known)

    async def _all(
        self, operation: Callable[Concatenate[Connection, P], int], *args: P.args, **kwargs: P.kwargs
    ) -> int:
        """Run an operation that takes a few at a time until nothing is left."""
        total = 0
        while done := await self.change(operation, *args, **kwargs):
            total += done
        return total

    async def secret(self, name: str) -> bytes:
        """A random key that all nodes of this spool share, made at its first use."""
        return bytes.fromhex(await self.change(_shared, name, secrets.token_hex(32)))


def _open_contents(engine: Engine) -> Contents:
    path = sqlite_path(engine)
    if path:
        return FolderContents(path.with_name(path.name + ".contents"))
    return TableContents(engine, Path(tempfile.mkdtemp(prefix="mail2fax-")))


def _free_all(connection: Connection) -> None:
    for table in (faxes, notices):
        claims.free_all(connection, table)


def _shared(connection: Connection, name: str, fresh: str) -> str:
    connection.execute(unless_known(connection, shared), {"name": name, "value": fresh})
    value: str = connection.scalars(select(shared.c.value).where(shared.c.name == name)).one()
    return value
