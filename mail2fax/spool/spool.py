"""Every mail and fax that mail2fax answers for, and who acts on it.

All writing goes through one writer with group commit: what is awaited here is on disk when it returns. `put`, `claim`,
`advance`, `postpone` and `replied` are the way of a fax.
"""

import contextlib
import itertools
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, RowMapping, Table

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.config.agreement import fallbacks
from mail2fax.model import Document, Envelope, Fax, Message, Notice, Outcome, Receipt, State, Usage
from mail2fax.rules.backoff import Backoff
from mail2fax.spool import copies, fax_lines, filing, intake, leases, moves, notices, operator, purge, questions
from mail2fax.spool.clock import Clock
from mail2fax.spool.contents import CHUNK, Contents, Kept, lookup
from mail2fax.spool.contents.folder import FolderContents
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.contents.records import Record
from mail2fax.spool.database import rows, shared
from mail2fax.spool.database import schema as tables
from mail2fax.spool.database.database import Database
from mail2fax.spool.database.ids import new_id
from mail2fax.spool.database.schema import documents, faxes, messages
from mail2fax.spool.database.threads import waited_for
from mail2fax.spool.fax_lines import Taken
from mail2fax.spool.filing import Account, Filed
from mail2fax.spool.inbox import Inbox
from mail2fax.spool.intake import Arrival
from mail2fax.spool.leases import Take
from mail2fax.spool.moves import Move
from mail2fax.spool.turns import Turns
from mail2fax.spool.work import NEEDED, Work

T = TypeVar("T")
P = ParamSpec("P")

WORK_PREFIX = "work-"  # temporary files beside the contents


class Spool:
    """The spool as one node sees it. What cannot be read or written now raises SpoolUnavailable, or OSError."""

    def __init__(self, settings: Settings, database: Database, contents: Contents, node: str) -> None:
        self.node = node
        self.settings = settings
        self.lease_seconds = settings.spool.lease
        self.database = database
        # Functions of `questions`, `overview` and `operator` are run by these.
        self.read, self.change, self.hand_on = database.read, database.change, database.hand_on
        self.wake, self.wait = database.wake, database.wait
        self.contents = contents
        self._inbox = Inbox(database, contents, node)
        self._fallbacks = fallbacks(settings.line, settings.provider.fallback)
        self._serving = False
        self._clock = Clock(settings.spool.lease)
        self._turns = Turns()
        # Unique among processes, also among those of one container that all have pid 1.
        ours = f"{node}:{secrets.token_hex(4)}"
        self._leases = (f"{ours}:{n}" for n in itertools.count())

    async def take_over(self, *, adopt: bool = False) -> None:
        """Begin to serve: hear other nodes, or pick up what the last node of this SQLite file left (see `copies`)."""
        self._serving = True
        self.database.journal.distrust()
        await self.change(fax_lines.look_again)
        await self.mind_the_clock()
        if isinstance(self.contents, FolderContents):
            await self.change(leases.free_all)
            await self._inbox.recover(self.contents)
            await self._sweep()
        await copies.settle_in(self.database, adopt=adopt)
        self.database.serve()

    def close(self) -> None:
        """Write what was asked for, then end the threads."""
        self._inbox.close()
        self.database.close()
        self.contents.close()

    # -- the way in

    def incoming(self) -> Incoming:
        """A place for the bytes of a mail that is arriving."""
        return self.contents.begin(new_id())

    async def put(self, envelope: Envelope, content: Incoming) -> Receipt:
        """Accept a mail. When this returns it is on disk: only then may a client be told 250."""
        receipt = await self._inbox.accept(envelope, content)
        self.database.wake(Work.PREPARE)
        return receipt

    async def forward(self, envelope: Envelope, content: Incoming, recipient: str) -> str:
        """Accept a mail that is only to be passed on to a person. Its queue id."""
        await self.contents.settle(content)
        record = Record(content.name, None, envelope, content.size, content.sha256)
        arrival = Arrival(record, content, Kept(content.inline))
        try:
            await self.hand_on(Work.NOTICE, intake.forward, self.contents, arrival, recipient)
        finally:
            self.contents.done(content)
        return arrival.id

    async def claim(self, work: Work, limit: int) -> tuple[list[Fax], float | None]:
        """Up to `limit` faxes that need this work, ours for `lease_seconds`; and the seconds until more may be due."""
        take = Take(next(self._leases), self.lease_seconds, limit)
        where = leases.in_states(*(state for state, needed in NEEDED.items() if needed == work))
        rerouted: list[tuple[str, str, int]] = []

        def operation(connection: Connection) -> tuple[list[Fax], float | None]:
            claimed: Sequence[RowMapping]
            if work == Work.SUBMIT:
                if operator.paused(connection):
                    return [], None
                claimed = fax_lines.claim_prepared(connection, take, self.settings.retry.give_up)
                rerouted[:] = fax_lines.reroute(connection, self._fallbacks, self.node)
            elif work == Work.PREPARE:
                claimed = self._turns.claim(connection, take)
            else:
                claimed = leases.claim(connection, faxes, where, take)
            pauses = [] if len(claimed) == limit else [leases.next_due(connection, faxes, where)]
            if work == Work.SUBMIT:
                pauses.append(fax_lines.next_probe(connection))
            return [rows.fax(row) for row in claimed], min((p for p in pauses if p is not None), default=None)

        answer = await self.change(operation)
        for line, to, count in rerouted:
            log.rerouted(line=line, to=to, faxes=count)
            self.wake(work)
        return answer

    async def claim_notices(self, limit: int) -> tuple[list[Notice], float | None]:
        """Mails owed besides outcomes, as `claim`."""
        take = Take(next(self._leases), self.lease_seconds, limit)

        def operation(connection: Connection) -> tuple[list[Notice], float | None]:
            claimed = leases.claim(connection, tables.notices, leases.OWED, take)
            return [rows.notice(row) for row in claimed], leases.next_due(connection, tables.notices, leases.OWED)

        return await self.change(operation)

    async def renew(self, held: Collection[str]) -> None:
        """Keep what we are still working on."""
        await self.change(leases.renew, faxes, held, self.lease_seconds)
        await self.change(leases.renew, tables.notices, held, self.lease_seconds)

    # -- how a fax moves

    async def advance(
        self,
        fax: Fax,
        state: State,
        *,
        due_in: float = 0.0,
        keep: bool = False,
        proof: bool = False,
        event: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> Fax:
        """Move a fax on, with its event, in one transaction; with `keep` we go on acting. Raises LeaseLost.

        A `proof` is what the provider has said of its offer, once.
        """
        move = Move(state, self.node, columns, event or {}, due_in, self.lease_seconds if keep else 0.0)
        how = moves.proved if proof else moves.advance
        if not keep and not due_in:
            return await self.database.surely(lambda: self.hand_on(NEEDED[state], how, fax, move), proof=proof)
        moved = await self.database.surely(lambda: self.change(how, fax, move), proof=proof)
        if due_in:
            self.database.wake(NEEDED[state], due_in)
        return moved

    async def end(self, fax: Fax, outcome: Outcome, event: Mapping[str, Any], *, proof: bool = False) -> Fax:
        """Write how a fax ended, and with it the duty to reply; a `proof` as in `advance`. Raises LeaseLost."""
        known: dict[str, Any] = {"status": outcome.status, "reason": outcome.reason, "detail": outcome.detail}
        ended = await self.advance(fax, outcome.state, proof=proof, event=event, **known)
        seconds = (ended.now - ended.received_at).total_seconds() if ended.now else 0.0
        log.ended(fax=fax.id, number=fax.number, state=ended.state, reason=ended.reason or "", seconds=seconds)
        return ended

    async def postpone(
        self, fax: Fax, due_in: float, *, what: str = "retry", event: Mapping[str, Any] | None = None, **columns: Any
    ) -> Fax:
        """Keep the state and act again later. Raises LeaseLost."""
        move = Move(fax.state, self.node, columns, event or {}, due_in)
        stayed = await self.database.surely(lambda: self.change(moves.stay, fax, move, what))
        self.database.wake(NEEDED[fax.state], due_in)
        return stayed

    async def put_back(self, fax: Fax) -> None:
        """Give a claimed fax back as it was."""
        await self.change(moves.release, fax)

    async def replied(self, fax: Fax, how: str, **event: Any) -> Fax:
        """The sender was told ("sent"), need not be ("suppressed") or cannot be ("undeliverable")."""
        return await self.database.surely(lambda: self.change(moves.replied, fax, how, self.node, event))

    async def owe(self, notice_id: str, kind: str, recipient: str, about: Mapping[str, Any], most: int = 0) -> None:
        """Owe a mail, as `notices.owe` has it."""
        await self.hand_on(Work.NOTICE, notices.owe, notice_id, kind, recipient, about, most=most)

    async def owe_delays(self, seconds: float, limit: int) -> Sequence[str]:
        """Owe a "still trying" mail for every fax that has waited this long and was not told. Their ids."""
        if late := await self.change(notices.delays, seconds, limit):
            self.wake(Work.NOTICE)
        return late

    async def noticed(self, owed: Notice, outcome: str, due_in: float | None = None) -> None:
        """A notice was sent ("sent"), need not be ("suppressed") or cannot be; or is tried again in so many seconds."""
        await self.change(notices.settle, owed, outcome, due_in)

    async def failed_notice(self, owed: Notice, due_in: float | None) -> None:
        """A notice ended in an error of our own: it is tried again, or (without `due_in`) given up."""
        await self.change(notices.failed, owed, self.node, due_in)

    async def hurry(self, fax_id: str) -> None:
        """Let the reply of this fax go now, unless somebody is at it already."""
        await self.hand_on(Work.REPLY, moves.hurry, fax_id)

    # -- contents

    @contextlib.asynccontextmanager
    async def content(self, message_id: str) -> AsyncIterator[Path]:
        """The bytes of a mail as a file, for as long as the context lasts. Raises FileNotFoundError.

        For who has claimed its fax or notice: with the claim its row has come to the disk.
        """
        async with self._open(messages, message_id) as path:
            yield path

    @contextlib.asynccontextmanager
    async def document(self, document_id: str) -> AsyncIterator[Path]:
        """A prepared PDF as a file, for as long as the context lasts. Raises FileNotFoundError."""
        async with self._open(documents, document_id) as path:
            yield path

    @contextlib.asynccontextmanager
    async def _open(self, table: Table, name: str) -> AsyncIterator[Path]:
        data, size = await self.read(lookup.content, self.contents, table, name)
        if data is None:
            async with self.contents.open(name, size) as path:
                yield path
            return
        with tempfile.NamedTemporaryFile(dir=self.contents.folder, prefix=WORK_PREFIX) as file:
            file.write(data)
            file.flush()
            yield Path(file.name)

    @contextlib.contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder beside the contents, gone at the end of the context."""
        with tempfile.TemporaryDirectory(dir=self.contents.folder, prefix=WORK_PREFIX) as folder:
            yield Path(folder)

    async def file(self, fax: Fax, account: Account, made: Sequence[tuple[Document, str, Path, bytes | None]]) -> Fax:
        """Keep a mail's account and its documents (each with its variant, its file and its preview), and proceed."""
        filed: list[Filed] = []
        try:
            for position, (document, variant, path, preview) in enumerate(made, start=1):
                content = await self._adopted(document.id, path)
                filed.append(Filed(document, variant, position, content, preview))
            return await self.hand_on(Work.SUBMIT, filing.file, self.contents, fax, account, filed, self.node)
        finally:
            for one in filed:
                self.contents.done(one.content)

    async def _adopted(self, name: str, path: Path) -> Incoming:
        """A content of the bytes of a file that was written a moment ago, so that reading it waits for no disk."""
        content = self.contents.begin(name)
        # Not a fresh name: an attempt that was cut off before the commit may have left its file.
        content.path.unlink(missing_ok=True)
        try:
            with path.open("rb") as source:
                while data := source.read(CHUNK):
                    content.write(data)
                    await content.drain()
            await self.contents.settle(content)
        except BaseException:
            content.discard()
            raise
        return content

    async def proceed(self, fax: Fax, made: Sequence[Document]) -> Fax:
        """Move a fax on to `prepared` with its document, and add a fax for each further one."""
        return await self.hand_on(Work.SUBMIT, filing.proceed, fax, made, self.node)

    async def file_account(self, message_id: str, account: Account, refusal: Outcome | None = None) -> None:
        """Keep what was found in a mail, and perhaps why no document can be made of it."""
        await self.change(filing.write_account, message_id, account, refusal)

    async def taken(self, fax: Fax, ref: str, due_in: float) -> Taken:
        """The provider has the fax, under this reference: what that says of its line, and of other faxes."""
        move = Move(State.SUBMITTED, self.node, {"provider_ref": ref}, {"ref": ref}, due_in)
        pause = self.settings.retry.longest
        taken = await self.database.surely(lambda: self.change(fax_lines.taken, fax, move, pause), proof=True)
        self.database.wake(Work.POLL, due_in)
        if taken.trouble:
            self.database.wake(Work.SUBMIT)
        return taken

    async def trouble(self, line: str, kind: str, pause: float | None, note: str) -> int:
        """Shut a line for a while. Failures in a row."""
        retry = self.settings.retry
        backoff = Backoff(retry.first, retry.longest)
        return await self.database.surely(lambda: self.change(fax_lines.trouble, line, kind, pause, backoff, note))

    async def calm(self, line: str, *, told: bool = False) -> str:
        """Open a line again, as `fax_lines.calm` has it. The kind of trouble it was in; "" when in none."""
        if calmed := await self.change(fax_lines.calm, line, told=told):
            self.database.wake(Work.SUBMIT)  # other nodes look by themselves in a moment
        return calmed

    # -- everything else

    async def try_writing(self) -> None:
        """Find out whether a mail could be accepted now. Raises SpoolUnavailable."""
        await self.change(shared.tried)

    async def mind_the_clock(self) -> float:
        """Set right what a step of the database's clock has made wait. Seconds that it jumped; 0 when it did not."""
        return await self._clock.look(self.database)

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
        return self.contents.free_bytes()

    async def purge(self) -> tuple[int, int]:
        """Delete what was kept long enough. How many mails lost their contents, how many their history."""
        rules = self.settings.documents
        emptied = await self._all(purge.contents, self.contents, rules.keep_days)
        if self._serving:  # only a server knows what it is writing
            await self._sweep()
        forgotten = await self._all(purge.histories, rules.history_days)
        self.database.empty_wal()
        return emptied, forgotten

    async def _sweep(self) -> None:
        known = self.contents.in_use()  # asked first: what is begun after this is young
        known |= await self.read(lookup.kept_beside)
        await waited_for(self.contents.sweep, known)
        await self.change(lookup.forget_marks, self.contents.folder)

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
        return bytes.fromhex(await self.change(shared.agreed, name, secrets.token_hex(32)))
