"""HylaFAX: never twice through a dialogue that breaks anywhere, and its words in ours."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from mail2fax.config import Provider
from mail2fax.model import Cause, Line, LineHeld, Permanent, Progress, State, Stopped, Temporary, Trace, Unclear
from mail2fax.providers import hylafax
from mail2fax.providers.hylafax import HylaFax
from mail2fax.sandbox import hylafax as dialect
from mail2fax.sandbox import server
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.patience import PATIENCE
from tests.support.samples import mail
from tests.support.samples import pdf as sample
from tests.support.submitting import Commit, pdf

LINE = Line("", "secret-of-hfaxd")
TAG = "6FWDXM0V3AKKS-1"
NUMBER = "4165550100"


def provider(address, **settings):
    return HylaFax(Provider(name="hylafax", url=f"hylafax://fax@{address}", **({"timeout": 3.0} | settings)))


@pytest.fixture
async def hfaxd():
    """The sandbox as hfaxd."""
    async with server.serve("127.0.0.1:0") as box, dialect.serve(box, "127.0.0.1:0") as state:
        yield state


async def submit(to, document, commit=None, number=NUMBER, tag=TAG):
    return await to.submit(LINE, number, document, "x.pdf", commit or Commit(), tag)


async def traced(to, ref, tag=TAG):
    """What a search says, once it says something."""
    async with asyncio.timeout(PATIENCE):
        while (trace := await to.find(LINE, tag, NUMBER, datetime.now(UTC), ref)) == Trace():
            await asyncio.sleep(0.01)
    return trace


class Written(Commit):
    """A commit that keeps the reference."""

    ref = ""

    async def __call__(self, ref=""):
        self.ref = ref
        await super().__call__()


async def test_everything_that_hfaxd_would_guess_wrongly_is_said(hfaxd, tmp_path):
    """Size, resolution, no chopped page, tries and an end; the tag; and the document byte for byte."""
    document = pdf(tmp_path, 200_000)
    commit = Written()
    ref = await submit(provider(hfaxd.address), document, commit)
    (job,) = hfaxd.jobs.values()
    assert ref == commit.ref == f"{job.number}:{TAG}"
    assert commit.calls == 1
    assert job.document == document.read_bytes()
    assert job.parameters == {
        "FROMUSER": "mail2fax", "DIALSTRING": NUMBER, "EXTERNAL": NUMBER, "NOTIFY": "none",
        "NOTIFYADDR": "nobody@localhost", "VRES": "196", "PAGEWIDTH": "216", "PAGELENGTH": "279", "PAGECHOP": "none",
        "LASTTIME": "000300", "MAXDIALS": "12", "MAXTRIES": "3", "JOBINFO": TAG,
    }  # fmt: skip


async def test_options_are_said_too(hfaxd, tmp_path):
    """Resolution, calls and hours by the settings; what makes no sense holds the line and says why."""
    line = Line("", "", options={"resolution": 98, "tries": 1, "dials": 2, "hours": 30})
    await provider(hfaxd.address).submit(line, NUMBER, pdf(tmp_path, 100), "x.pdf", Commit(), TAG)
    (job,) = hfaxd.jobs.values()
    assert [job.parameters[name] for name in ("VRES", "MAXTRIES", "MAXDIALS", "LASTTIME")] == ["98", "1", "2", "010600"]
    for options, words in (({"resolutions": 98}, "knows no resolutions"), ({"tries": "two"}, "whole number")):
        with pytest.raises(LineHeld) as raised:
            await provider(hfaxd.address).check(Line("", "", options=options))
        assert words in raised.value.note


SWEEPS = [
    ("up", "close", 1),
    ("up", "reset", 5),
    ("down", "close", 3),
    ("down", "reset", 11),
    ("down", "half-close", 23),
]


@pytest.mark.parametrize(("way", "how", "step"), SWEEPS, ids=lambda value: str(value))
async def test_a_dialogue_that_breaks_anywhere_doubles_nothing_and_leaves_no_doubt(hfaxd, tmp_path, way, how, step):
    """At each byte of it, in each direction: what is told is so, and what is in doubt can be settled."""
    document, sure = pdf(tmp_path, 3000), provider(hfaxd.address)
    after, seen = 0, set()
    while "taken" not in seen:
        tag, commit = f"SWEEP{way}{after}-1", Written()
        async with FaultProxy(int(hfaxd.address.rpartition(":")[2])) as proxy:
            setattr(proxy, way, Fault(after=after, how=how))
            told = await _outcome(provider(f"127.0.0.1:{proxy.port}", timeout=0.6), document, commit, tag)
        jobs = [job for job in hfaxd.jobs.values() if job.fax and job.parameters["JOBINFO"] == tag]
        assert len(jobs) <= 1
        seen.add(told)
        assert commit.calls == (told != "not taken"), after
        if told == "doubt":
            trace = await traced(sure, commit.ref, tag)
            assert trace == (Trace(commit.ref) if jobs else Trace(never=True)), after
        else:
            assert bool(jobs) is (told == "taken"), after
        after += step
    assert seen == {"taken", "doubt", "not taken"}


async def _outcome(to, document, commit, tag):
    try:
        await submit(to, document, commit, tag=tag)
    except Unclear:
        return "doubt"
    except Temporary:
        return "not taken"
    return "taken"


async def test_a_commit_that_fails_leaves_no_job_and_no_document(hfaxd, tmp_path):
    """Its exception comes through; hfaxd would keep the document of a job that its connection's end deletes."""
    for error in (OSError(28, "disk full"), KeyError("lease"), TimeoutError("mine"), asyncio.CancelledError()):

        async def fail(ref="", error=error):
            raise error

        with pytest.raises(type(error)) as raised:
            await submit(provider(hfaxd.address), pdf(tmp_path, 100), fail)
        assert raised.value is error
    assert (hfaxd.jobs, hfaxd.left) == ({}, 0)


async def test_a_scheduler_that_refuses_or_is_away_is_a_clear_no(hfaxd, tmp_path):
    """460 to JSUBM: not taken, and nothing is left behind."""
    with pytest.raises(Permanent):
        await submit(provider(hfaxd.address), pdf(tmp_path, 100), number="4165550150")
    with pytest.raises(Temporary) as raised:
        await submit(provider(hfaxd.address), pdf(tmp_path, 100), number="4165550141")
    assert "FIFO" in raised.value.note
    assert hfaxd.jobs == {}


async def test_a_job_whose_number_was_counted_anew_is_somebody_elses(hfaxd, tmp_path):
    """A reinstalled server counts from 1 again: the tag is compared before the state is believed."""
    to = provider(hfaxd.address)
    ref = await submit(to, pdf(tmp_path, 100))
    theirs = ref.replace(TAG, "ANOTHER-1")
    with pytest.raises(Temporary):
        await to.status(LINE, theirs)
    assert await to.find(LINE, "ANOTHER-1", NUMBER, datetime.now(UTC), theirs) == Trace(never=True)
    assert await to.cancel(LINE, theirs) is Stopped.TOO_LATE
    await to.forget(LINE, theirs)
    assert len(hfaxd.jobs) == 1


async def test_a_reference_from_an_operator_needs_no_tag(hfaxd, tmp_path):
    """`resolve --reference 17`: the job's number is what faxstat shows."""
    to = provider(hfaxd.address)
    ref = await submit(to, pdf(tmp_path, 100))
    assert (await to.status(LINE, ref.partition(":")[0])).final is State.DELIVERED


async def test_late_absence_proves_nothing(hfaxd):
    """The job may have been done, and swept since."""
    to = provider(hfaxd.address)
    late = datetime.now(UTC) - timedelta(seconds=hylafax.PROOF + 1)
    assert await to.find(LINE, TAG, NUMBER, late, f"7:{TAG}") == Trace()


async def test_a_job_that_its_connection_still_holds_proves_nothing_yet(hfaxd, tmp_path):
    """JSUBM may still be read: first the old connection must end."""
    gate, reached = asyncio.Event(), asyncio.Event()

    async def wait(ref=""):
        reached.set()
        await gate.wait()

    to = provider(hfaxd.address)
    submitting = asyncio.create_task(submit(to, pdf(tmp_path, 100), wait))
    await reached.wait()
    (number,) = hfaxd.jobs
    assert await to.find(LINE, TAG, NUMBER, datetime.now(UTC), f"{number}:{TAG}") == Trace()
    gate.set()
    ref = await submitting
    assert await to.find(LINE, TAG, NUMBER, datetime.now(UTC), ref) == Trace(ref)


async def test_a_job_is_found_by_its_tag_alone(hfaxd, tmp_path):
    """Waiting, or over."""
    to = provider(hfaxd.address)
    ref = await submit(to, pdf(tmp_path, 100))
    assert await to.find(LINE, TAG, NUMBER, datetime.now(UTC), "") == Trace(ref)
    assert await to.find(LINE, "OTHER-1", NUMBER, datetime.now(UTC), "") == Trace()


async def test_a_job_is_stopped_and_forgotten(hfaxd, tmp_path):
    """Killed while it goes; too late afterwards; deleted only once it is over."""
    to = provider(hfaxd.address)
    ref = await submit(to, pdf(tmp_path, 100), number="4165550103")
    await to.forget(LINE, ref)
    assert (await to.status(LINE, ref)).final is None
    assert await to.cancel(LINE, ref) is Stopped.ASKED
    assert (await to.status(LINE, ref)).cause is Cause.CANCELLED
    assert await to.cancel(LINE, ref) is Stopped.TOO_LATE
    await to.forget(LINE, ref)
    assert hfaxd.jobs == {}


async def _hostile(answer, reader, writer):
    writer.write(answer)
    with contextlib.suppress(OSError):
        await writer.drain()
        await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"x" * 100_000,
        b"220-" + b"y\r\n" * 10_000,
        b"\xff\xfe\r\n",
        b"220 hello\r\n530 secret-of-hfaxd is wrong\r\n",
        b"220 hello\r\n331 Password\r\n530 Login incorrect.\r\n",
        b"220 hello\r\n230 hello\r\n200 I\r\n227 Entering (1,2,3)\r\n",
        b"220 hello\r\n230 hello\r\n200 I\r\n227 Entering (127,0,0,1,0,1)\r\n",
        b"421 too many\r\n",
    ],
    ids=lambda answer: repr(answer[:24]),
)
async def test_what_is_no_hfaxd_ends_in_a_verdict_without_a_commit(tmp_path, answer):
    """Whatever answers there; and no password stands in what is told."""
    listening = await asyncio.start_server(lambda r, w: _hostile(answer, r, w), "127.0.0.1", 0)
    async with listening:
        to = provider(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", timeout=0.5)
        commit = Commit()
        with pytest.raises(Temporary) as raised:
            await submit(to, pdf(tmp_path, 100), commit)
        assert commit.calls == 0
        assert LINE.token not in f"{raised.value} {raised.value.note} {raised.value.detail}"
        for asked in (
            to.status(LINE, "1:x"),
            to.find(LINE, "x", NUMBER, datetime.now(UTC), "1:x"),
            to.cancel(LINE, "1"),
        ):
            with pytest.raises(Temporary):
                await asked


def told(state, text="", code="000", sent="0", pages="0", dials="0"):
    return hylafax.progress(
        {"STATE": state, "STATUS": text, "STATUSCODE": code, "NPAGES": sent, "TOTPAGES": pages, "TOTDIALS": dials}
    )


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (told("DONE", sent="5", pages="5", dials="2"), ("Done", State.DELIVERED, None, 5, 5, 2)),
        (told("ACTIVE"), ("Preparing", None, None, 0, None, None)),
        (told("ACTIVE", sent="1", pages="5"), ("Sending, 1 of 5 pages went", None, None, 1, 5, None)),
        (told("SLEEPING", "Busy signal detected", "001", dials="1"), ("Waiting: Busy signal detected", None, None, 0, None, 1)),
        (told("READY"), ("Waiting for a modem", None, None, 0, None, None)),
        (
            told("FAILED", "Busy signal detected; too many attempts to dial", "333", pages="1", dials="12"),
            ("Busy signal detected; too many attempts to dial", State.FAILED, Cause.BUSY, 0, 1, 12),
        ),
        (
            told("FAILED", "No answer from remote; too many attempts to dial", "333", dials="3"),
            ("No answer from remote; too many attempts to dial", State.FAILED, Cause.NO_ANSWER, 0, None, 3),
        ),
        (told("FAILED", "No carrier detected", "002"), ("No carrier detected", State.FAILED, Cause.NO_FAX, 0, None, None)),
        (
            told("FAILED", "No response to PPS repeated 3 times.", "333", sent="1", pages="5", dials="1"),
            ("No response to PPS repeated 3 times.", State.FAILED, Cause.HUNG_UP, 1, 5, 1),
        ),
        (told("FAILED", "Job aborted by request", "345"), ("Job aborted by request", State.FAILED, Cause.CANCELLED, 0, None, None)),
        (told("FAILED", "Kill time expired", "333"), ("Kill time expired", State.FAILED, Cause.UNSPOKEN, 0, None, None)),
        (told("FAILED"), ("Failed", State.FAILED, Cause.UNSPOKEN, 0, None, None)),
    ],
)  # fmt: skip
def test_hylafaxs_words_in_ours(progress, expected):
    """Only DONE and FAILED end a fax."""
    facts = (progress.word, progress.final, progress.cause, progress.pages_sent, progress.pages, progress.calls)
    assert facts == expected
    assert progress.known


TEXTS = {
    Cause.BUSY: ["Busy signal detected", "Busy signal detected; too many attempts to dial"],
    Cause.NO_ANSWER: ["No answer from remote", "Ringback detected, no answer without CED", "No answer or ring back"],
    Cause.NO_FAX: ["No carrier detected", "No receiver protocol (T.30 T1 timeout)", "No answer (T.30 T1 timeout)"],
    Cause.NUMBER_INVALID: ["Invalid dialing command"],
    Cause.CANCELLED: ["Job aborted by request", "Call aborted by user", "Send aborted due to operator intervention"],
    Cause.HUNG_UP: ["Remote fax disconnected prematurely"],
    Cause.DOCUMENT: [
        "Document preparation failed: x", "Converted document is not valid TIFF", "Image conversion error",
        "Client does not support document page width, max remote page width 1728 pixels, image width 2432 pixels",
        "Too many pages in submission; max 50", "Can not open document file docq/doc3.ps;9",
    ],
    Cause.PROVIDER: ["Unable to setup modem on /dev/ttyS0", "Send program terminated abnormally; unable to exec x"],
    Cause.LINE_TROUBLE: [
        "No local dialtone", "Failure to train modems", "Failure to receive silence (synchronization failure).",
        "No response to MPS repeated 3 tries", "Invalid response to EOP", "Unable to transmit page (giving up after RTN)",
        "Problem sending TCF data", "Carrier established, but Phase A failure", "Remote cannot receive",
        "Failure to transmit clean ECM image data.", "Timeout waiting for Phase C carrier drop",
        "Failed to properly detect high-speed data carrier.", "Stop and wait failure (modem on hook)",
        "Unable to continue after PIN or PIP", "Unspecified Transmit Phase D error", "Unknown hangup code",
    ],
    Cause.UNSPOKEN: ["Kill time expired", "Unknown problem", ""],
}  # fmt: skip


@pytest.mark.parametrize(("cause", "text"), [(cause, text) for cause, texts in TEXTS.items() for text in texts])
def test_hylafaxs_texts_have_causes(cause, text):
    """As they stand in its programs; with a page gone, trouble on the line is a call cut in the middle."""
    assert told("FAILED", text, "333").cause is cause
    cut = Cause.HUNG_UP if cause is Cause.LINE_TROUBLE else cause
    assert told("FAILED", text, "333", sent="1", pages="2").cause is cut


def test_a_state_that_nobody_knows_is_no_last_word():
    """It is passed on, and asked for again."""
    assert told("DREAMING") == Progress("Dreaming", known=False, pages_sent=0)


async def test_the_bridge_tells_what_hylafax_tells(bridge, hfaxd, outbox):
    """A mail, a busy line: the reply names the cause and the calls; the job is deleted once the outcome is written."""
    running = await bridge(provider={"name": "hylafax", "url": f"hylafax://fax@{hfaxd.address}", "token": ""})
    queue_id = await running.send(mail(sample(2)), "4165550112@fax.local")
    reply = await outbox.next()
    assert "The line was busy." in reply.text
    fax = await running.until(queue_id, State.FAILED)
    assert (fax.status, fax.detail["cause"], fax.detail["calls"]) == ("5.4.1", "busy", 1)
    async with asyncio.timeout(PATIENCE):
        while hfaxd.jobs:
            await asyncio.sleep(0.02)


async def test_the_bridge_settles_a_lost_answer(bridge, hfaxd, outbox):
    """The job was taken, the answer never came: delivered in the end, once, and nobody is asked."""
    running = await bridge(provider={"name": "hylafax", "url": f"hylafax://fax@{hfaxd.address}", "token": ""})
    queue_id = await running.send(mail(sample()), "4165550170@fax.local")
    await outbox.next()
    fax = await running.until(queue_id, State.DELIVERED, seconds=30)
    assert (fax.submissions, hfaxd.last) == (1, 1)
