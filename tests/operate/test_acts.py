"""What an operator does at the page: asked once more, done once, under a name, and refused where it makes no sense."""

import asyncio
import base64
import io
import re

import pytest
from PIL import Image
from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.operate import app
from mail2fax.spool import Work, operator, questions
from mail2fax.spool.database.schema import messages, now
from tests.support import spooling
from tests.support.desk import act, serving, token
from tests.support.samples import pdf

OF_ONE = ("retry", "resolve", "cancel", "hold", "release")


@pytest.fixture
async def desk(spool, tmp_path):
    async with serving(spool, tmp_path) as opened:
        yield opened


async def _one(spool, name):
    return (await spool.read(questions.named, name))[0]


async def test_a_failed_fax_is_sent_again_once_it_was_confirmed(spool, desk):
    """Asking does nothing; yes does it, and the history names who it was."""
    fax = await spooling.replied(spool, State.FAILED)
    async with desk.as_("ann") as ann:
        asked = await ann.get(f"/act/retry?fax={fax.id}")
        assert "Send 3 pages again to (647) 495-9659?" in asked.text
        assert len(await spool.read(questions.named, fax.message_id)) == 1
        done = await act(ann, f"/act/retry?fax={fax.id}")
    assert "Sending again as" in done.text
    first, second = await spool.read(questions.named, fax.message_id)
    assert (second.retry_of, second.state) == (first.id, State.PREPARED)
    assert "ann (page)" in {event.who for event in await spool.read(questions.history, second.id)}


async def test_it_may_go_to_another_number_that_is_allowed(spool, desk):
    """The number is read as people write it; one that may not be dialled is refused in words. It goes by its own line."""
    near = {"name": "near", "token": "token-of-near", "senders": ["*"], "numbers": ["+1416*"]}
    object.__setattr__(spool, "settings", Settings.model_validate({"line": [near]}))
    fax = await spooling.replied(spool, State.FAILED)
    async with desk.as_("ann") as ann:
        refused = await ann.get(f"/act/retry?fax={fax.id}&number=900-555-1234")
        assert refused.status_code == 409
        asked = await ann.get(f"/act/retry?fax={fax.id}&number=416-555-0199")
        assert "(416) 555-0199?" in asked.text and "Not to (647) 495-9659" in asked.text
        await act(ann, f"/act/retry?fax={fax.id}&number=416-555-0199")
    both = await spool.read(questions.named, fax.message_id)
    assert [(one.number, one.line) for one in both] == [("6474959659", ""), ("4165550199", "near")]


@pytest.mark.parametrize(("how", "state"), [("delivered", State.DELIVERED), ("failed", State.FAILED)])
async def test_an_unknown_fax_is_resolved(spool, desk, how, state):
    """As the recipient said; the sender is told."""
    fax = await spooling.replied(spool, State.UNKNOWN)
    async with desk.as_("ann") as ann:
        done = await act(ann, f"/act/resolve?fax={fax.id}&how={how}")
    assert "The sender is told." in done.text
    assert (await _one(spool, fax.id)).state is state


async def test_a_reference_from_the_portal_is_followed(spool, desk):
    """The fax is at the provider again, under what was typed."""
    fax = await spooling.replied(spool, State.UNKNOWN)
    async with desk.as_("ann") as ann:
        asked = await ann.get(f"/act/resolve?fax={fax.id}&how=reference&reference=portal-77")
        assert "Go on asking the provider about portal-77?" in asked.text
        await act(ann, f"/act/resolve?fax={fax.id}&how=reference&reference=portal-77")
        assert (await ann.get(f"/act/resolve?fax={fax.id}&how=nonsense")).status_code == 409
    found = await _one(spool, fax.id)
    assert (found.state, found.provider_ref) == (State.SUBMITTED, "portal-77")


async def test_two_operators_at_once_do_it_once(spool, desk):
    """Both were asked; the second hears why there is nothing left to do."""
    fax = await spooling.replied(spool, State.UNKNOWN)
    path = f"/act/resolve?fax={fax.id}&how=delivered"
    async with desk.as_("ann") as ann, desk.as_("dora") as dora:
        first, second = await ann.get(path), await dora.get(path)
        assert first.status_code == second.status_code == 200
        assert (await act(ann, path)).status_code == 200
        late = await act(dora, path)
    assert late.status_code == 409 and "only an unknown fax can be resolved" in late.text
    assert [event.who for event in await spool.read(questions.history, fax.id)].count("ann (page)") == 1


async def test_what_waits_is_held_and_released(spool, desk):
    """One, a sender's, all; nothing to hold is said."""
    mine = await spooling.prepared(spool, content=b"1")
    other = await spooling.prepared(spool, content=b"2", sender="bob@office.example")
    async with desk.as_("ann") as ann:
        assert "1 held" in (await act(ann, f"/act/hold?fax={mine.id}")).text
        assert (await _one(spool, mine.id)).held_by == "ann (page)"
        assert "1 held" in (await act(ann, "/act/hold?sender=bob@office.example")).text
        assert (await act(ann, "/act/hold")).status_code == 409
        assert "2 released" in (await act(ann, "/act/release")).text
    assert not (await _one(spool, other.id)).held_by


async def test_a_waiting_fax_is_cancelled_and_another_is_not(spool, desk):
    """What was handed over cannot be taken back, and that is said."""
    gone, waiting = await spooling.replied(spool, content=b"2"), await spooling.prepared(spool, content=b"1")
    async with desk.as_("ann") as ann:
        assert "is cancelled" in (await act(ann, f"/act/cancel?fax={waiting.id}")).text
        late = await act(ann, f"/act/cancel?fax={gone.id}")
    assert late.status_code == 409 and "can be cancelled" in late.text


def _purged(connection, message_id):
    connection.execute(update(messages).where(messages.c.id == message_id).values(purged_at=now()))


async def test_what_cannot_be_is_not_even_asked(spool, desk):
    """No question whose yes would be refused: a fax that is over is no more cancelled, or resolved, or sent twice."""
    failed, delivered = await spooling.replied(spool, State.FAILED), await spooling.replied(spool, content=b"1")
    unknown, gone = [await spooling.replied(spool, State.UNKNOWN, content=b"%d" % n) for n in (2, 3)]
    await spool.change(operator.retry, unknown.id, "kim")
    await spool.change(_purged, gone.message_id)
    paths = {
        f"/act/cancel?fax={failed.id}": (409, f"{failed.id} is failed: only a fax that was not handed"),
        f"/act/resolve?fax={failed.id}&how=delivered": (409, f"{failed.id} is failed: only an unknown fax"),
        f"/act/retry?fax={delivered.id}": (409, f"{delivered.id} is delivered: only a failed, unknown or cancelled"),
        f"/act/retry?fax={unknown.id}": (409, f"{unknown.id} was sent again already, as"),
        f"/act/resolve?fax={unknown.id}&how=resend": (409, f"{unknown.id} was sent again already, as"),
        f"/act/resolve?fax={unknown.id}&how=delivered": (409, f"{unknown.id} is being sent again as"),
        f"/act/retry?fax={gone.id}": (409, f"{gone.id}: its document is no longer kept"),
    }
    paths |= {f"/act/{act}?fax=NOSUCH-1&how=failed": (404, "NOSUCH-1: no such fax") for act in OF_ONE}
    paths |= {f"/fax/NOSUCH-1{page}": (404, "NOSUCH-1: no such fax") for page in ("", "/document.pdf", "/reply")}
    async with desk.as_("dora") as dora:
        for path, (status, words) in paths.items():
            answer = await dora.get(path)
            assert (answer.status_code, words in answer.text) == (status, True), path


async def test_a_pause_lets_nothing_out_and_a_resume_everything(spool, desk):
    """Mail is accepted and prepared meanwhile; twice paused is refused; the page says who did it."""
    async with desk.as_("ann") as ann:
        await act(ann, "/act/pause")
        await spooling.prepared(spool)
        assert await spool.claim(Work.SUBMIT, 10) == ([], None)
        assert "Sending is paused" in (await ann.get("/")).text
        assert (await act(ann, "/act/pause")).status_code == 409
        await act(ann, "/act/resume")
        assert (await act(ann, "/act/resume")).status_code == 409
    assert await spool.read(operator.paused) is None
    assert len((await spool.claim(Work.SUBMIT, 10))[0]) == 1


async def test_who_may_only_look_may_not_act_nor_see_documents(spool, desk):
    """A role is a right, and the lack of it is said."""
    fax = await spooling.replied(spool, State.FAILED)
    async with desk.as_("lou") as lou:
        assert (await lou.get(f"/fax/{fax.id}")).status_code == 200
        assert "Send again" not in (await lou.get(f"/fax/{fax.id}")).text
        for path in (f"/act/retry?fax={fax.id}", f"/fax/{fax.id}/document.pdf"):
            assert (await lou.get(path)).status_code == 403
        assert (await lou.post(f"/act/retry?fax={fax.id}", data={"token": "x"})).status_code == 403
    assert len(await spool.read(questions.named, fax.message_id)) == 1


async def test_each_look_at_a_document_is_noted(spool, desk):
    """Who opened it stands in the fax's history."""
    fax = await spooling.replied(spool)
    async with desk.as_("dora") as dora:
        answer = await dora.get(f"/fax/{fax.id}/document.pdf")
    assert answer.content == b"%PDF-1.4"
    looks = [event for event in await spool.read(questions.history, fax.id) if event.what == "viewed"]
    assert [event.who for event in looks] == ["dora (page)"]


async def test_the_pages_are_seen_as_the_other_machine_prints_them(spool, desk):
    """Pictures of one bit a dot, 204 x 196; noted like every look at a document."""
    await spooling.put(spool)
    fax = await spooling.file(spool, await spooling.claim(spool, Work.PREPARE), pdf(), pages=1)
    async with desk.as_("dora") as dora, desk.as_("ann") as ann:
        page = (await dora.get(f"/fax/{fax.id}/printed")).text
        assert (await ann.get(f"/fax/{fax.id}/printed")).status_code == 403
    (picture,) = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (1728, 2156)
    assert "viewed" in {event.what for event in await spool.read(questions.history, fax.id)}


async def test_the_reply_is_seen_as_it_was_sent(spool, desk):
    """In the words of the mail; who looked stands in the history; one that was not sent is said."""
    fax = await spooling.replied(spool)
    async with desk.as_("dora") as dora:
        page = (await dora.get(f"/fax/{fax.id}/reply")).text
        waiting = await spooling.prepared(spool, content=b"2")
        assert (await dora.get(f"/fax/{waiting.id}/reply")).status_code == 409
    assert "Faxed to (647) 495-9659" in page
    looks = [event for event in await spool.read(questions.history, fax.id) if event.what == "viewed"]
    assert [(event.who, event.detail) for event in looks] == [("dora (page)", {"what": "reply"})]


async def test_nothing_kept_is_deleted_early(spool, desk):
    """Purge says what went."""
    await spooling.replied(spool)
    async with desk.as_("ann") as ann:
        assert "Deleted the documents of 0 mails" in (await act(ann, "/act/purge")).text


@pytest.mark.parametrize("how", ["", "nonsense", "__class__"])
async def test_a_strange_outcome_is_refused_also_when_confirmed(spool, desk, how):
    """The question was never asked; the answer comes all the same."""
    fax = await spooling.replied(spool, State.UNKNOWN)
    async with desk.as_("ann") as ann:
        data = {"token": token((await ann.get("/")).text)}
        answer = await ann.post(f"/act/resolve?fax={fax.id}&how={how}", data=data)
    assert answer.status_code == 409 and "say whether the fax arrived" in answer.text
    assert (await _one(spool, fax.id)).state is State.UNKNOWN


async def test_another_number_means_another_one(spool, desk):
    """A fax that was delivered there, or is on its way there, is not doubled by typing its own number."""
    done = await spooling.replied(spool, content=b"1")
    under_way = await spooling.submitted(spool, content=b"2")
    async with desk.as_("ann") as ann:
        for fax in (done, under_way):
            answer = await act(ann, f"/act/retry?fax={fax.id}&number=647-495-9659")
            assert answer.status_code == 409 and "can be sent again" in answer.text
            assert len(await spool.read(questions.named, fax.message_id)) == 1


async def test_an_act_does_not_wait_for_ever_for_the_database(spool, desk, monkeypatch):
    """A person is told, and the connection is free again."""
    monkeypatch.setattr(app, "_LONGEST_ACT", 0.2)
    async with desk.as_("ann") as ann:
        monkeypatch.setattr(spool, "change", lambda *_: asyncio.sleep(30))
        answer = await act(ann, "/act/pause")
    assert answer.status_code == 503 and "The database does not answer" in answer.text
