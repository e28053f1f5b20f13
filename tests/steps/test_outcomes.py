"""Every row of the outcome table, end to end: what the provider says or leaves unsaid, and what becomes of the fax.

Broken connections come from a proxy between the bridge and the provider, or the mail server.
"""

import asyncio

import pytest

from mail2fax.model import Reason, State
from tests.support.faultproxy import NONE, Fault, FaultProxy
from tests.support.faxapi import HANG, LOST, RESET, Reply
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf

LARGE = mail(pdf(size=8_000_000))  # more than the kernel takes at once: else its end is gone before a break is seen
TAKEN, AGAIN, REFUSED, DOUBT = "taken", "tried again", "refused", "in doubt"

# What a whole request is answered with, and what becomes of it. AGAIN: surely not taken, and sent once more.
ROWS = {
    "as documented": (Reply(), TAKEN),
    "201": (Reply(status=201), TAKEN),
    "a uuid beside an error": (Reply(body={"uuid": "u-1", "error_code": 500}), TAKEN),
    **{str(code): (Reply(status=code), REFUSED) for code in (400, 406, 413, 414, 415, 422, 431)},
    **{str(code): (Reply(status=code), AGAIN) for code in (307, 308, 408, 421, 425, 429)},
    "429 with Retry-After": (Reply(status=429, headers={"Retry-After": "0"}), AGAIN),
    "503 with Retry-After": (Reply(status=503, headers={"Retry-After": "0"}), AGAIN),
    **{str(code): (Reply(status=code), AGAIN) for code in (401, 402, 403, 404, 405, 407, 410, 411)},
    **{str(code): (Reply(status=code), DOUBT) for code in (301, 302, 303, 409, 500, 501, 502, 503, 504, 505, 599)},
    "error_code 400": (Reply(body={"status": 0, "error_code": 400}), REFUSED),
    "error_code 401": (Reply(body={"status": 0, "error_code": 401}), AGAIN),
    "error_code 429": (Reply(body={"error_code": "429"}), AGAIN),
    "error_code 500": (Reply(body={"error_code": 500}), DOUBT),
    "error_code 402": (Reply(body={"status": 0, "error_code": 402}), AGAIN),
    "error_code 404": (Reply(body={"status": 0, "error_code": 404}), REFUSED),
    "a number as uuid": (Reply(body={"uuid": 4711, "status": "Loading"}), TAKEN),
    "no uuid": (Reply(body={"status": "Loading"}), DOUBT),
    "an empty uuid": (Reply(body={"uuid": "", "status": "Loading"}), DOUBT),
    "an empty body": (Reply(body=b""), DOUBT),
    "HTML": (Reply(body=b"<html>fine</html>"), DOUBT),
    "cut JSON": (Reply(body=b'{"uuid": "4f11'), DOUBT),
    "a cut answer": (Reply(cut=30, end="close"), DOUBT),
    "nothing": (LOST, DOUBT),
    "a reset": (RESET, DOUBT),
    "silence": (HANG, DOUBT),
    "no HTTP": (Reply(raw=b"220 hello\r\n", end="close"), DOUBT),
}
ENDS = {TAKEN: State.DELIVERED, AGAIN: State.DELIVERED, REFUSED: State.FAILED, DOUBT: State.UNKNOWN}


async def test_every_answer_has_its_outcome(bridge, faxapi, outbox):
    """Each on a fax line of its own, all at once: state, requests and replies as the table says."""
    names = dict(enumerate(ROWS))
    numbers = {f"4165{n:06}": name for n, name in names.items()}
    answered = set()

    def answer(upload):
        name = numbers[upload.number]
        first = upload.number not in answered
        answered.add(upload.number)
        return ROWS[name][0] if first else None

    faxapi.before_post = answer
    lines = [{"name": f"l{n}", "senders": [f"s{n}@office.example"], "token": f"token-{n}"} for n in names]
    running = await bridge(line=lines, provider={"timeout": 6.0, "concurrency": 12})
    content = mail(pdf())
    ids = {names[n]: await running.send(content, f"4165{n:06}@fax.local", sender=f"s{n}@office.example") for n in names}
    await outbox.wait(len(ROWS), timeout=90)
    found = {}
    for name, queue_id in ids.items():
        (fax,) = await running.faxes(queue_id)
        posts = sum(numbers[post.number] == name for post in faxapi.posts)
        found[name] = (fax.state, posts)
    assert found == {name: (ENDS[end], 2 if end is AGAIN else 1) for name, (_, end) in ROWS.items()}
    await asyncio.sleep(1.0)  # longer than every pause of these settings: nothing follows
    assert len(outbox.mails) == len(ROWS)
    assert len(faxapi.uploads) == sum(2 if end is AGAIN else 1 for _, end in ROWS.values())


@pytest.fixture
async def broken_line(faxapi):
    """A proxy before the provider; tests set its faults."""
    async with FaultProxy(faxapi.port) as proxy:
        yield proxy


async def _bridge(bridge, proxy, timeout=3.0):
    # As it is: made ready for a fax, the document would be so small that the kernel takes all of it at once.
    provider = {"url": f"http://127.0.0.1:{proxy.port}/api/fax", "timeout": timeout}
    return await bridge(provider=provider, documents={"pages": "as-is"})


@pytest.mark.parametrize("how", ["close", "reset", "half-close", "stall"])
@pytest.mark.parametrize("after", [0, 40_000])
async def test_a_line_that_breaks_before_the_end_is_tried_again(bridge, faxapi, outbox, broken_line, how, after):
    """Nobody can act on half a request: it is sent again, and once in all."""
    broken_line.up = Fault(after=after, how=how)
    running = await _bridge(bridge, broken_line, timeout=5.0)
    queue_id = await running.send(LARGE)
    async with asyncio.timeout(PATIENCE):
        while not (await running.faxes(queue_id))[0].attempts:
            await asyncio.sleep(0.02)
    assert faxapi.posts == []
    broken_line.up = NONE
    await outbox.next()
    await running.until(queue_id, State.DELIVERED)
    assert len(faxapi.posts) == 1


@pytest.mark.parametrize("how", ["close", "reset", "half-close", "stall"])
@pytest.mark.parametrize("after", [0, 10])
async def test_a_line_that_breaks_before_the_answer_is_a_doubt(bridge, faxapi, outbox, broken_line, how, after):
    """The whole request arrived, its answer did not: unknown, told, and never sent again."""
    broken_line.down = Fault(after=after, how=how)
    running = await _bridge(bridge, broken_line)
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.UNKNOWN)
    assert (fax.reason, fax.submissions) == (Reason.NO_ANSWER, 1)
    broken_line.down = NONE
    await asyncio.sleep(0.8)
    assert len(faxapi.uploads) == 1


async def test_a_slow_line_is_only_slow(bridge, faxapi, outbox, broken_line):
    """Small pieces with pauses, both ways."""
    broken_line.up = broken_line.down = Fault(delay=0.01, piece=2000)
    running = await _bridge(bridge, broken_line)
    queue_id = await running.send(mail(pdf(size=100_000)))
    await outbox.next()
    await running.until(queue_id, State.DELIVERED)
    assert len(faxapi.posts) == 1


async def test_polls_survive_every_broken_line(bridge, faxapi, outbox, broken_line):
    """A status that does not come only delays the news."""
    faxapi.words = ["Sending"]
    running = await _bridge(bridge, broken_line)
    queue_id = await running.send(mail(pdf()))
    await running.until(queue_id, State.SUBMITTED)
    for how in ("close", "reset", "half-close", "stall"):
        broken_line.up = broken_line.down = Fault(after=5, how=how)
        before = (await running.faxes(queue_id))[0].attempts
        async with asyncio.timeout(PATIENCE):
            while (await running.faxes(queue_id))[0].attempts <= before + 1:
                await asyncio.sleep(0.02)
    broken_line.up = broken_line.down = NONE
    faxapi.words = ["Success"]
    await outbox.next()
    assert (await running.until(queue_id, State.DELIVERED)).submissions == 1


@pytest.mark.parametrize("how", ["close", "reset", "stall"])
@pytest.mark.parametrize(
    ("up", "down"), [(0, None), (1500, None), (None, 0), (None, 150)], ids=["hello", "the mail", "220", "250"]
)
async def test_a_reply_gets_through_every_broken_line(bridge, outbox, up, down, how):
    """It is offered again under the same Message-ID, until the mail server has said 250."""
    async with FaultProxy(outbox.port) as proxy:
        if up is not None:
            proxy.up = Fault(after=up, how=how)
        if down is not None:
            proxy.down = Fault(after=down, how=how)
        running = await bridge(reply={"relay": f"smtp://127.0.0.1:{proxy.port}", "timeout": 1.0})
        queue_id = await running.send(mail())
        async with asyncio.timeout(PATIENCE):
            while not (await running.faxes(queue_id))[0].attempts:
                await asyncio.sleep(0.02)
        proxy.up = proxy.down = NONE
        async with asyncio.timeout(PATIENCE):
            while (await running.faxes(queue_id))[0].reply != "sent":
                await asyncio.sleep(0.02)
        assert len({reply.message["Message-ID"] for reply in outbox.mails}) == 1
        assert len(outbox.mails) <= (await running.faxes(queue_id))[0].attempts + 1  # each try brings it once at most
