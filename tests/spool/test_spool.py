"""The spool's promises, kept on every database. A new database must pass these."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from mail2fax.config import Settings
from mail2fax.model import FINAL, NEXT, Document, Envelope, LeaseLost, Outcome, Reason, Recipient, Refused, State
from mail2fax.spool import Busy, SpoolUnavailable, Work, fax_lines, moves, notices, open_spool, operator, questions
from mail2fax.spool.contents.incoming import INLINE
from mail2fax.spool.database import migrations
from mail2fax.spool.database.engine import open_engine
from mail2fax.spool.database.schema import faxes, messages, now
from tests.support import spooling
from tests.support.patience import PATIENCE
from tests.support.spooling import SENDER, claim, later, put

SMALL = b"small " * 100
MIDDLING = b"middling " * 10_000
LARGE = b"0123456789abcdef" * 40_000


@pytest.mark.parametrize("content", [SMALL, MIDDLING, LARGE], ids=["in its row", "in a segment", "beside the rows"])
async def test_what_was_put_can_be_read_again(spool, content):
    """A mail's bytes come back as they came in, whatever their size."""
    assert (len(content) > INLINE) == (content is LARGE)
    receipt = await put(spool, content=content)
    async with spool.content(receipt.queue_id) as path:
        assert path.read_bytes() == content
    message = await spool.message(receipt.queue_id)
    assert message.size == len(content)
    assert message.envelope.reverse_path == SENDER


async def test_every_recipient_is_one_fax(spool):
    """Three recipients make three faxes, each with its first event."""
    receipt = await put(spool, "6474959659", "4165550100", "4165550101")
    found = await spool.read(questions.named, receipt.queue_id)
    assert [fax.number for fax in found] == ["6474959659", "4165550100", "4165550101"]
    assert {fax.state for fax in found} == {State.RECEIVED}
    for fax in found:
        assert [event.what for event in await spool.read(questions.history, fax.id)] == ["received"]


async def test_the_same_bytes_are_faxed_once(spool):
    """A client that lost our 250 sends again: the old id, no second fax. Another sender or number is another fax."""
    first = await put(spool, content=LARGE)
    again = await put(spool, content=LARGE)
    assert again.queue_id == first.queue_id
    assert again.duplicates == ("6474959659@fax.local",)
    assert await spool.waiting() == 1
    kept = await spool.read(lambda connection: list(connection.scalars(select(messages.c.id))))
    assert kept == [first.queue_id]  # nothing would ever purge the other
    await put(spool, content=LARGE, sender="other@office.example")
    more = await put(spool, "6474959659", "4165550100", content=LARGE)
    assert more.duplicates == ("6474959659@fax.local",)
    assert await spool.waiting() == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Recipient("647495965@fax.local", ""), Recipient("64749596590@fax.local", "")),
        (Recipient("6474959659@fax.local", "6474959659"), Recipient("c@fax.local", "6474959659", cover=True)),
    ],
    ids=["two slips", "with a cover page"],
)
async def test_what_is_asked_for_differently_is_another_fax(spool, one, other):
    """Each slip is told of, and whoever wants a cover page gets one."""
    content = spool.incoming()
    content.write(b"mail")
    receipt = await spool.put(Envelope(SENDER, (one, other), "127.0.0.1"), content)
    assert not receipt.duplicates
    assert len(await spool.read(questions.named, receipt.queue_id)) == 2


async def test_the_same_bytes_at_the_same_moment_are_faxed_once(spool):
    """Two connections that bring one mail at once make one fax."""
    receipts = await asyncio.gather(*(put(spool, content=SMALL) for _ in range(20)))
    assert len({receipt.queue_id for receipt in receipts}) == 1
    assert await spool.waiting() == 1


async def test_a_duplicate_is_forgotten_after_its_days(spool):
    """What comes again after the keys were deleted is a new mail."""
    await put(spool)
    await spool.change(lambda connection: connection.execute(text("UPDATE deliveries SET at = at - 6 * 86400")))
    await spool.purge()
    assert (await put(spool)).duplicates == ()
    assert await spool.waiting() == 2


async def test_a_claimed_fax_is_nobody_elses(spool):
    """Two claims at once never hand out one fax twice."""
    for n in range(20):
        await put(spool, content=b"%d" % n)
    results = await asyncio.gather(*(spool.claim(Work.PREPARE, 7) for _ in range(4)))
    ids = [fax.id for claimed, _ in results for fax in claimed]
    assert len(ids) == len(set(ids)) == 20


async def test_a_dead_lease_is_claimed_again_and_its_old_owner_writes_nothing(spool):
    """A paused node that wakes after its lease changes nothing."""
    await put(spool)
    sleeper = await claim(spool, Work.PREPARE)
    assert await spool.claim(Work.PREPARE, 1) == ([], pytest.approx(spool.lease_seconds, abs=20))
    await later(spool, spool.lease_seconds)
    heir = await claim(spool, Work.PREPARE)
    assert heir.id == sleeper.id
    with pytest.raises(LeaseLost):
        await spool.advance(sleeper, State.FAILED)
    with pytest.raises(LeaseLost):
        await spool.postpone(sleeper, 1.0)
    with pytest.raises(LeaseLost):
        await spool.replied(sleeper, "sent")
    await spool.put_back(sleeper)
    assert (await spool.advance(heir, State.FAILED)).state is State.FAILED


async def test_a_renewed_lease_stays(spool):
    """Who is still working keeps the fax."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    for _ in range(3):
        await later(spool, spool.lease_seconds * 0.4)
        await spool.renew({fax.lease})
    assert (await spool.claim(Work.PREPARE, 1))[0] == []
    await spool.advance(fax, State.FAILED)


async def test_only_next_is_possible(spool):
    """A fax moves along NEXT only."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    for state in set(State) - NEXT[State.RECEIVED]:
        with pytest.raises(ValueError, match="may not become"):
            await spool.advance(fax, state)


async def test_the_whole_way_is_written_down(spool):
    """Every state leaves its event, with who and when, and the outcome owes a reply."""
    fax = await spooling.ended(spool)
    history = await spool.read(questions.history, fax.id)
    assert [event.what for event in history] == ["received", "prepared", "submitting", "submitted", "delivered"]
    assert {event.who for event in history} == {"tester"}
    assert [event.at for event in history] == sorted(event.at for event in history)
    assert fax.finished_at and fax.submitted_at and fax.prepared_at and fax.submissions == 1
    owed = await claim(spool, Work.REPLY)
    assert (await spool.replied(owed, "sent")).replied_at
    assert await spool.claim(Work.REPLY, 1) == ([], None)


async def test_a_submitting_fax_is_left_alone_until_its_lease_is_dead(spool):
    """Only a dead lease makes somebody else ask what became of it."""
    fax = await spooling.submitting(spool)
    assert await spool.claim(Work.RECOVER, 1) == ([], pytest.approx(spool.lease_seconds, abs=20))
    await later(spool, spool.lease_seconds)
    assert (await claim(spool, Work.RECOVER)).id == fax.id


async def test_attempts_grow_while_a_document_is_offered(spool):
    """Going to and fro between prepared and submitting is one effort, so that pauses grow."""
    fax = await spooling.submitting(spool)
    for n in (1, 2, 3):
        fax = await spool.advance(fax, State.PREPARED)
        assert fax.attempts == n
        fax = await spool.advance(await claim(spool, Work.SUBMIT), State.SUBMITTING, keep=True)
    assert fax.submissions == 4


async def test_a_retry_is_due_later(spool):
    """A retry keeps the state and moves the due time."""
    await put(spool)
    await spool.postpone(await claim(spool, Work.PREPARE), 60.0, event={"note": "later"})
    claimed, next_due = await spool.claim(Work.PREPARE, 1)
    assert claimed == []
    assert next_due == pytest.approx(60, abs=20)


async def test_one_transaction_holds_state_and_event(spool):
    """If the event cannot be written the fax does not move."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    move = moves.Move(State.FAILED, who=None, columns={"status": "5.0.0"})  # events.who may not be NULL
    with pytest.raises(IntegrityError):
        await spool.change(moves.advance, fax, move)
    assert (await spool.read(questions.named, fax.id))[0].state is State.RECEIVED


async def test_a_bad_neighbour_does_not_spoil_a_batch(spool):
    """Operations that share a commit with one that fails are carried out all the same."""

    def bad(connection):
        connection.execute(insert(faxes), {"id": "x", "message_id": "none"})

    results = await asyncio.gather(
        *(put(spool, content=b"%d" % n) for n in range(10)),
        spool.change(bad),
        *(put(spool, content=b"%d" % n) for n in range(10, 20)),
        return_exceptions=True,
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [IntegrityError]
    assert await spool.waiting() == 20


async def test_impossible_rows_are_refused(spool):
    """The constraints hold what the code promises."""
    fax = await spooling.submitted(spool)
    for values in (
        {"state": "sent"},
        {"provider_ref": ""},
        {"finished_at": now()},
        {"state": "delivered"},
        {"held_by": "me", "lease": ""},
    ):
        with pytest.raises(IntegrityError):
            await spool.change(
                lambda connection, v=values: connection.execute(update(faxes).where(faxes.c.id == fax.id).values(v))
            )


async def test_errors_do_not_hold_what_a_mail_said(spool):
    """An exception text of the database names no content."""

    def bad(connection):
        connection.execute(insert(faxes), {"id": "x", "message_id": "canary-7391"})

    with pytest.raises(DBAPIError) as caught:
        await spool.change(bad)
    assert "canary-7391" not in str(caught.value.statement) + str(caught.value).split("DETAIL")[0]


async def test_what_the_database_cannot_do_is_told_in_words_of_the_spool(spool):
    """Nobody outside has to know SQLAlchemy: a question and a change alike raise SpoolUnavailable."""

    def bad(connection):
        connection.execute(text("SELECT * FROM no_such_table"))

    for ask in (spool.read, spool.change):
        with pytest.raises(SpoolUnavailable, match="no_such_table") as caught:
            await ask(bad)
        assert str(caught.value)


async def test_a_database_that_cannot_be_reached_is_told_in_words_of_the_spool(tmp_path):
    """A file that is no database, and a server that is not there."""
    (tmp_path / "spool.db").write_bytes(b"a letter, and no database" * 100)
    for url in (f"sqlite:///{tmp_path}/spool.db", "postgresql://nobody@127.0.0.1:1/none"):
        settings = Settings.model_validate({"spool": {"url": url}})
        with pytest.raises(SpoolUnavailable):
            async with open_spool(settings):
                pass


async def test_an_outcome_is_kept_whole(spool):
    """State, status, reason and detail come back as they were given."""
    await put(spool)
    outcome = Outcome(State.FAILED, "5.6.0", Reason.LOCKED, {"name": "böse.pdf", "n": 3})
    ended = await spool.end(await claim(spool, Work.PREPARE), outcome, {"why": "locked"})
    (fax,) = await spool.read(questions.named, ended.id)
    assert (fax.state, fax.status, fax.reason, dict(fax.detail)) == (
        State.FAILED,
        "5.6.0",
        Reason.LOCKED,
        {"name": "böse.pdf", "n": 3},
    )


# -- fax lines in trouble


async def test_a_held_line_lets_one_probe_out(spool):
    """401 shuts the line: its faxes wait, others go on, one probe at a time when the pause is over."""
    for n in range(3):
        await spooling.prepared(spool, content=b"a%d" % n, line="a")
    other = await spooling.prepared(spool, content=b"b", line="b")
    assert await spool.trouble("a", "held", 30.0, "HTTP 401") == 1
    claimed, pause = await spool.claim(Work.SUBMIT, 10)
    assert [fax.id for fax in claimed] == [other.id]
    assert pause == pytest.approx(30, abs=20)
    await later(spool, 30.0)
    (probe,), _ = await spool.claim(Work.SUBMIT, 10)
    assert (await spool.claim(Work.SUBMIT, 10))[0] == []
    assert await spool.trouble("a", "held", None, "HTTP 401") == 2
    await spool.postpone(probe, 0.0)
    assert await spool.calm("a")
    assert len((await spool.claim(Work.SUBMIT, 10))[0]) == 3
    assert not await spool.calm("a")


async def test_a_line_without_answers_is_left_alone_after_some_failures(spool):
    """One lost connection shuts nothing; some in a row do."""
    await spooling.prepared(spool)
    for _ in range(fax_lines.BREAKER - 1):
        await spool.trouble("", "unreachable", None, "refused")
    fax = await claim(spool, Work.SUBMIT)
    await spool.put_back(fax)
    await spool.trouble("", "unreachable", None, "refused")
    claimed, pause = await spool.claim(Work.SUBMIT, 10)
    assert claimed == []
    assert pause and pause > 5
    (trouble,) = await spool.read(questions.trouble_list)
    assert (trouble.kind, trouble.failures, trouble.note) == ("unreachable", 3, "refused")


async def test_overdue_faxes_end_though_their_line_is_shut(spool):
    """Nothing waits for ever on a dead provider."""
    fax = await spooling.prepared(spool)
    await _wait_long(spool)
    for _ in range(fax_lines.BREAKER):
        await spool.trouble("", "unreachable", 60.0, "refused")
    assert (await claim(spool, Work.SUBMIT)).id == fax.id


async def test_nothing_is_bounced_for_a_bad_token(spool):
    """A held line stays held whatever else goes wrong, and when it opens its faxes have all their time again."""
    fax = await spooling.prepared(spool)
    await spool.trouble("", "unreachable", None, "refused")
    assert await spool.trouble("", "held", 60.0, "401") == 1  # the first of this kind: news for the administrator
    await _wait_long(spool)
    for _ in range(fax_lines.BREAKER):
        await spool.trouble("", "unreachable", 0.0, "refused")
    (trouble,) = await spool.read(questions.trouble_list)
    assert trouble.kind == "held"
    probe = await claim(spool, Work.SUBMIT)
    await spool.put_back(probe)
    await spool.calm("")
    again = await claim(spool, Work.SUBMIT)
    assert again.id == fax.id
    assert (again.now - again.prepared_at).total_seconds() < 60


async def test_a_line_without_credit_is_opened_by_a_poll_alone(spool):
    """Faxes are taken there all along, and no other failure changes what it is; whatever the words of its note."""
    fax = await spooling.prepared(spool)
    assert await spool.trouble("", "held", 0.0, "401") == 1
    assert await spool.trouble("", "no-credit", 0.0, "limit") == 2  # held as before: no second word to anybody
    for other in ("unreachable", "held"):
        await spool.trouble("", other, 0.0, "refused")
    assert await spool.calm("") == ""
    probe = await claim(spool, Work.SUBMIT)
    assert probe.id == fax.id
    _, opened, _ = await spool.taken(await spool.advance(probe, State.SUBMITTING, keep=True), "ref", 60.0)
    assert opened == ""
    (trouble,) = await spool.read(questions.trouble_list)
    assert (trouble.kind, trouble.held) == ("no-credit", True)
    assert trouble.closed_until > trouble.since
    assert await spool.calm("", told=True) == "no-credit"


async def _wait_long(spool):
    old = update(faxes).values(prepared_at=faxes.c.prepared_at - 10 * 86_400)
    await spool.change(lambda connection: connection.execute(old))


# -- operators


async def test_hold_and_release(spool):
    """A held fax is claimed by nobody until it is released; both are written down with who asked."""
    fax = await spooling.prepared(spool)
    other = await spooling.prepared(spool, content=b"other", sender="b@office.example")
    assert await spool.change(operator.hold, operator.waiting(sender=SENDER), "kim") == [fax.id]
    assert [one.id for one in (await spool.claim(Work.SUBMIT, 10))[0]] == [other.id]
    assert await spool.change(operator.release, operator.waiting(fax.id), "kim") == [fax.id]
    assert (await claim(spool, Work.SUBMIT)).id == fax.id
    history = await spool.read(questions.history, fax.id)
    assert [(event.what, event.who) for event in history[-2:]] == [("hold", "kim"), ("release", "kim")]


async def test_a_fax_held_while_it_is_worked_on_stays_after_that_step(spool):
    """Hold does not disturb a step; the next one does not come."""
    receipt = await put(spool)
    fax = await claim(spool, Work.PREPARE)
    await spool.change(operator.hold, operator.waiting(receipt.queue_id), "kim")
    await spooling.file(spool, fax)
    assert await spool.claim(Work.SUBMIT, 1) == ([], None)
    await spool.change(operator.release, operator.waiting(), "kim")
    await claim(spool, Work.SUBMIT)


async def test_a_fax_held_while_it_is_submitted_is_still_polled(spool):
    """What the provider has cannot be held: it goes on to its outcome."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    await spool.change(operator.hold, operator.waiting(fax.id), "kim")
    fax = await spool.advance(fax, State.SUBMITTING, keep=True)
    fax = await spool.advance(fax, State.SUBMITTED, provider_ref="ref")
    assert fax.held_by == ""
    await claim(spool, Work.POLL)


async def test_retry_makes_a_linked_fax_of_the_same_document(spool):
    """The document is not made again, the old fax keeps its history, another number has its own line."""
    old = await spooling.replied(spool, State.FAILED, line="theirs")
    fresh_id = await spool.change(operator.retry, old.id, "kim")
    fresh = await claim(spool, Work.SUBMIT)
    assert (fresh.id, fresh.retry_of, fresh.document_id) == (fresh_id, old.id, old.document_id)
    assert (fresh.state, fresh.line) == (State.PREPARED, "theirs")
    other_id = await spool.change(operator.retry, old.id, "kim", "4165550100", "near")
    (other,) = await spool.read(questions.named, other_id)
    assert (other.number, other.line) == ("4165550100", "near")


async def test_one_of_several_documents_goes_alone_to_another_number(spool):
    """Its cover page is made anew, and with it all documents of the mail: the others were not meant for that number."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    await spool.proceed(fax, _documents(fax, "6474959659"))
    await spool.change(lambda c: c.execute(update(faxes).values(cover=True)) and None)
    name = f"{fax.message_id}-3"
    for number in ("4165550100", "4165550101"):
        name = await spool.change(_failed_and_again, name, number)
        again = await claim(spool, Work.PREPARE)
        await spool.proceed(again, _documents(again, number))
    found = await spool.read(questions.named, fax.message_id)
    assert [one.document_id.rpartition(".")[2] for one in found] == ["1", "2", "3", "3", "3"]


def _documents(fax, variant):
    return [Document(f"{fax.message_id}.{variant}.{n}", fax.message_id, 1, 9, "0" * 64) for n in (1, 2, 3)]


def _failed_and_again(connection, name, number):
    failed = {"state": "failed", "finished_at": now(), "due_at": None, "lease": ""}
    connection.execute(update(faxes).where(faxes.c.id == name).values(**failed))
    return operator.retry(connection, name, "kim", number)


async def test_what_makes_no_sense_is_refused_with_a_reason(spool):
    """Cancel a sent one, resolve a failed one, retry a delivered one: no."""
    fax = await spooling.replied(spool)
    for ask in (
        lambda connection: operator.cancel(connection, fax.id, "kim", Reason.CANCELLED_BY_OPERATOR),
        lambda connection: operator.resolve(connection, fax.id, State.FAILED, "kim"),
        lambda connection: operator.retry(connection, fax.id, "kim"),
        lambda connection: operator.resend(connection, fax.id, "kim"),
    ):
        with pytest.raises(Refused, match=f"{fax.id} is delivered"):
            await spool.change(ask)
    with pytest.raises(Refused, match="no such fax"):
        await spool.change(operator.retry, "NONE-1", "kim")


async def test_resolving_an_unknown_fax_tells_the_sender(spool):
    """A person's word ends the doubt, and owes a reply again."""
    fax = await spooling.replied(spool, State.UNKNOWN)
    await spool.change(operator.resolve, fax.message_id, State.DELIVERED, "kim")
    owed = await claim(spool, Work.REPLY)
    assert (owed.state, owed.reason) == (State.DELIVERED, Reason.RESOLVED_BY_OPERATOR)


async def test_cancel_ends_a_waiting_fax(spool):
    """Cancelled before the provider has it: told, and never submitted."""
    fax = await spooling.prepared(spool)
    await spool.change(operator.cancel, fax.id, "kim", Reason.CANCELLED_BY_OPERATOR)
    assert await spool.claim(Work.SUBMIT, 1) == ([], None)
    assert (await claim(spool, Work.REPLY)).state is State.CANCELLED


# -- upkeep


async def test_delays_are_told_once(spool):
    """A fax that waits earns one notice."""
    fax = await spooling.prepared(spool)
    assert await spool.change(notices.delays, 3600.0, 10) == []
    assert await spool.change(notices.delays, -1.0, 10) == [fax.id]
    assert await spool.change(notices.delays, -1.0, 10) == []
    (notice,), _ = await spool.claim_notices(5)
    assert (notice.kind, notice.fax_id) == ("delayed", fax.id)
    await spool.noticed(notice, "sent")
    assert await spool.claim_notices(5) == ([], None)


async def test_purge_takes_documents_first_and_history_later(spool):
    """After keep_days the bytes are gone, after history_days the rows; what still waits is never touched."""
    done = await spooling.replied(spool, content=LARGE)
    waiting = await spooling.prepared(spool, content=SMALL)
    assert await spool.purge() == (0, 0)
    await _age(spool, 8)
    assert await spool.purge() == (1, 0)
    with pytest.raises(FileNotFoundError):
        async with spool.content(done.message_id):
            pass
    with pytest.raises(FileNotFoundError):
        async with spool.document(done.document_id):
            pass
    with pytest.raises(Refused, match="no longer kept"):
        await spool.change(operator.retry, done.id, "kim", "4165550100")
    assert (await spool.read(questions.named, done.id))[0].state is State.DELIVERED
    await _age(spool, 90)
    assert await spool.purge() == (0, 1)
    with pytest.raises(Refused):
        await spool.read(questions.named, done.id)
    async with spool.document(waiting.document_id) as path:
        assert path.exists()


async def _age(spool, days):
    def back(connection):
        for column in ("received_at", "finished_at"):
            connection.execute(text(f"UPDATE faxes SET {column} = {column} - {days} * 86400"))
        connection.execute(text(f"UPDATE messages SET received_at = received_at - {days} * 86400"))

    await spool.change(back)


async def test_usage_counts_what_costs(spool):
    """Faxes and pages of this sender, not those refused before the provider saw them."""
    await spooling.ended(spool)
    await put(spool, content=b"refused")
    await spool.advance(await claim(spool, Work.PREPARE), State.FAILED)
    assert (await spool.usage(SENDER.upper())).faxes_day == 1
    assert (await spool.usage(None)).pages_hour == 3
    assert (await spool.usage("b@office.example")).faxes_day == 0
    assert await spool.number_today("6474959659") == 1


async def test_a_shared_secret_is_made_once(spool):
    """All nodes of one spool sign with one key."""
    assert await spool.secret("resend") == await spool.secret("resend")
    assert len(await spool.secret("resend")) == 32


async def test_another_process_wakes_us(spool, spool_url):
    """Work that another process put there is seen soon."""
    settings = Settings.model_validate({"spool": {"url": spool_url}})
    tells = "postgresql" in spool_url
    waiting = asyncio.create_task(spool.wait(Work.PREPARE, 2 * PATIENCE if tells else 2.0))
    async with open_spool(settings, node="other") as other:
        await put(other)
    await asyncio.wait_for(waiting, PATIENCE)
    await claim(spool, Work.PREPARE)


def test_migrations_are_complete(spool_url):
    """HEAD names the newest step, and the steps make just what the code expects."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from mail2fax.spool.database.schema import metadata

    assert ScriptDirectory(os.path.dirname(migrations.__file__)).get_current_head() == migrations.HEAD
    if spool_url.startswith("sqlite"):
        os.makedirs(os.path.dirname(spool_url.removeprefix("sqlite:///")))
    engine = open_engine(spool_url)
    assert migrations.upgrade(engine) == ("", migrations.HEAD)
    assert migrations.upgrade(engine) == (migrations.HEAD, migrations.HEAD)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_state_is_reached_and_left():
    """No state is a trap but the final ones, and each can be reached."""
    assert {state for state, following in NEXT.items() if not following} <= FINAL
    assert {state for following in NEXT.values() for state in following} == set(State) - {State.RECEIVED}


# -- SQLite alone


async def test_a_second_node_on_one_sqlite_file_refuses_to_start(tmp_path):
    """It says who serves it; when that one dies, even by kill -9, the next may start."""
    url = f"sqlite:///{tmp_path}/spool.db"
    code = (
        "import asyncio, sys; from mail2fax.config import Settings; from mail2fax.spool import open_spool\n"
        "async def main():\n"
        f"  async with open_spool(Settings.model_validate({{'spool': {{'url': {url!r}}}}}), serving=True):\n"
        "    print('up', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    settings = Settings.model_validate({"spool": {"url": url}})
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"up\n"
            with pytest.raises(Busy, match=f"process {first.pid} serves this spool"):
                async with open_spool(settings, serving=True):
                    pass
            async with open_spool(settings) as tool:  # a command line tool may
                await put(tool)
        finally:
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    async with open_spool(settings, serving=True) as second:
        await claim(second, Work.PREPARE)


async def test_leases_of_a_dead_sqlite_node_are_freed_at_start(tmp_path):
    """One node: what its predecessor had in hand is due at once."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as dead:
        await spooling.submitting(dead)
    async with open_spool(settings, serving=True) as heir:
        await claim(heir, Work.RECOVER)


async def test_files_without_a_row_are_swept(tmp_path):
    """They belong to mails that were never acknowledged."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings) as spool:
        receipt = await put(spool, content=LARGE)
        stray = spool.incoming()
        stray.write(LARGE)
    folder = tmp_path / "spool.db.contents"
    assert len(list(folder.iterdir())) == 2
    for file in folder.iterdir():
        os.utime(file, (1, 1))
    async with open_spool(settings, serving=True):
        assert [file.name for file in folder.iterdir()] == [receipt.queue_id]
    stray.discard()


async def test_what_is_deleted_is_overwritten(tmp_path):
    """Whatever SQLite was built with: a purged mail leaves no bytes in free pages."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        asked = await spool.change(lambda connection: connection.scalar(text("PRAGMA secure_delete")))
    assert asked == 1


async def test_the_spool_is_ours_alone(tmp_path):
    """Nobody else on the machine reads mails: 0700 and 0600."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        await put(spool, content=LARGE)
        modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert set(modes.values()) == {0}, modes
