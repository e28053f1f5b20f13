"""Several `mail2fax serve` processes on one PostgreSQL: they share the work, and inherit it from the dead."""

import asyncio
import contextlib
import signal
import smtplib
import time
from collections import Counter

import psycopg
import pytest

from tests.support.crashsweep import settings
from tests.support.faxapi import Reply
from tests.support.haproxy import balancing
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE
from tests.support.ports import free_port
from tests.support.processes import ServedBy, command
from tests.support.samples import pdf

LEASE = 5.0


@pytest.fixture
async def nodes(tmp_path, postgres_url, faxapi, outbox):
    """Starts so many nodes on one database: `one, other = await nodes(2)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(count, **sections):
            wanted = settings(faxapi, outbox, postgres_url)
            wanted["spool"]["lease"] = LEASE
            for name, keys in sections.items():
                wanted[name] = {**wanted.get(name, {}), **keys}
            made = [ServedBy(tmp_path, wanted, name=f"node{n}") for n in range(count)]
            for node in made:
                await stack.enter_async_context(node)
            await asyncio.gather(*(node.up() for node in made))
            return made

        yield start


async def test_two_nodes_share_the_work_and_fax_each_once(nodes, faxapi, outbox):
    """Mail comes to both, each takes what it can, nothing is taken twice."""
    ledger = Ledger(faxapi, outbox)
    faxapi.before_post = lambda _: Reply(delay=0.3)  # one node's two places are taken while others wait
    both = await nodes(2, provider={"concurrency": 2}, documents={"workers": 1})
    mails = [pdf(text=f"fax {n}") for n in range(16)]
    await asyncio.gather(*(ledger.deliver(lambda n=n: both[n % 2].address, one) for n, one in enumerate(mails)))
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == []
    for node in both:
        assert node.count("submitted") > 0, "one node did all of it"


async def test_what_a_command_puts_is_taken_by_whoever_is_awake(nodes, faxapi, outbox):
    """`mail2fax send` beside one node that sleeps and one that does not."""
    one, _other = await nodes(2)
    one.signal(signal.SIGSTOP)
    words = ("send", "4162000999", str(_file(one, "a.pdf")), "--sender", "kim@office.example", "--json")
    code, printed, err = await command(one.file, *words)
    assert (code, list(printed)) == (0, ["queue_id"]), err
    reply = await outbox.next()
    assert reply.recipient == "kim@office.example"
    assert [post.number for post in faxapi.posts] == ["4162000999"]


def _file(node, name):
    path = node.file.with_name(name)
    path.write_bytes(pdf())
    return path


async def test_a_killed_nodes_work_is_taken_over_within_the_lease(nodes, faxapi, outbox):
    """kill -9 while it waits for the provider: the heir calls that one unknown, and never sends it again."""
    ledger = Ledger(faxapi, outbox)
    gate = asyncio.Event()
    faxapi.on_post(Reply(gate=gate))
    one, other = await nodes(2)
    other.signal(signal.SIGSTOP)
    await ledger.deliver(lambda: one.address, pdf())
    await faxapi.until(lambda: len(faxapi.posts) == 1)
    await one.kill()
    killed = time.monotonic()
    other.signal(signal.SIGCONT)
    await ledger.settled(PATIENCE)
    gate.set()
    assert ledger.wrongs() == []
    (told,) = [tale for tales in ledger.told().values() for tale in tales]
    assert told.state == "unknown"
    assert time.monotonic() - killed < LEASE + 30.0  # the machine may be slow; the lease is what counts
    assert len(faxapi.posts) == 1


async def test_a_balancer_before_two_nodes_of_which_one_stops(nodes, faxapi, outbox):
    """HAProxy by docs/relays.md: mails go on while a node is stopped, and each client is known by its own address."""
    ledger = Ledger(faxapi, outbox)
    inside = {"proxy_networks": ["127.0.0.1/32"], "trusted_networks": ["127.0.0.1/32"]}
    one, other = await nodes(2, smtp=inside)
    front = free_port()
    with balancing(front, [one.port, other.port]):
        sending = [asyncio.create_task(ledger.deliver(lambda: ("127.0.0.1", front), pdf())) for _ in range(12)]
        await faxapi.until(lambda: len(faxapi.uploads) >= 2)
        assert await one.stop() == 0
        await asyncio.wait_for(asyncio.gather(*sending), PATIENCE)
        await ledger.deliver(lambda: ("127.0.0.1", front), pdf())
        with smtplib.SMTP("127.0.0.1", front, source_address=("127.0.0.9", 0)) as stranger:
            stranger.ehlo()
            code, text = stranger.mail("kim@office.example")
    assert (code, b"127.0.0.9 is not in a trusted network" in text) == (530, True)
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == []
    assert {tale.state for tales in ledger.told().values() for tale in tales} == {"delivered"}
    assert (one.count("accepted") > 0, other.count("accepted") > 0) == (True, True)
    assert {event["event"] for event in other.events} & {
        "turned away",
        "session failed",
    } == set()  # the balancer's looks


async def test_a_paused_node_brings_its_proof_when_it_wakes(nodes, faxapi, outbox):
    """SIGSTOP past the lease: the other has told the sender of a doubt; the late answer ends it, and he hears that."""
    ledger = Ledger(faxapi, outbox)
    gate = asyncio.Event()
    faxapi.on_post(Reply(gate=gate))
    one, other = await nodes(2, provider={"timeout": 60.0})  # the answer still counts when it wakes
    other.signal(signal.SIGSTOP)
    mail = await ledger.deliver(lambda: one.address, pdf())
    await faxapi.until(lambda: len(faxapi.posts) == 1)
    one.signal(signal.SIGSTOP)
    other.signal(signal.SIGCONT)
    await ledger.settled(PATIENCE)
    gate.set()  # the provider's answer lies in the sleeper's socket
    one.signal(signal.SIGCONT)
    await outbox.wait(2)
    _, shown, _ = await command(other.file, "show", mail.ids[0], "--json")
    states = [event["what"] for event in _events(shown)]
    assert states.index("unknown") < states.index("submitted") < states.index("delivered")
    assert [tale.state for tale in ledger.told()[mail.numbers[0]]] == ["unknown", "delivered"]
    assert ledger.wrongs() == []
    assert len(faxapi.posts) == 1


def _events(shown):
    fax = shown[0] if isinstance(shown, list) else shown
    return fax.get("events") or fax.get("history") or fax["faxes"][0]["history"]


async def test_a_paused_upload_is_not_finished_when_it_wakes(nodes, faxapi, outbox):
    """SIGSTOP before the commit: the other node faxes it; the sleeper's request never gets its end."""
    ledger = Ledger(faxapi, outbox)
    one, other = await nodes(2)
    other.signal(signal.SIGSTOP)
    faxapi._read_pause = 0.4  # the upload takes its time
    await ledger.deliver(lambda: one.address, pdf(size=600_000))
    await faxapi.until(lambda: len(faxapi.uploads) == 1 and len(faxapi.uploads[0].data) > 0)
    one.signal(signal.SIGSTOP)
    faxapi._read_pause = 0.0
    other.signal(signal.SIGCONT)
    await ledger.settled(PATIENCE)
    one.signal(signal.SIGCONT)
    await one.event("lease lost")
    assert ledger.wrongs() == []
    assert len(faxapi.posts) == 1


async def test_a_database_that_is_cut_off_comes_back_without_hands(nodes, faxapi, outbox, postgres_url):
    """Every connection is cut, again and again, while mail comes in: deferred at worst, nothing lost."""
    ledger = Ledger(faxapi, outbox)
    both = await nodes(2)
    sending = [asyncio.create_task(ledger.deliver(lambda n=n: both[n % 2].address, pdf())) for n in range(10)]
    for _ in range(6):
        await asyncio.sleep(0.4)
        await asyncio.to_thread(_cut_off, postgres_url)
    await asyncio.wait_for(asyncio.gather(*sending), PATIENCE)
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == []
    states = Counter(tale.state for tales in ledger.told().values() for tale in tales)
    assert states == {"delivered": 10}, "a cut of a moment made a doubt"
    for node in both:
        assert await node.stop() == 0


async def test_a_database_that_is_away_is_told_once(nodes, outbox, postgres_url):
    """Not by a traceback for each client; and who was refused meanwhile can be looked up when it is back."""
    (one,) = await nodes(1)
    await asyncio.to_thread(_shut, postgres_url, away=True)
    try:
        told = [await asyncio.to_thread(_refused, one.address, n) for n in range(8)]
    finally:
        await asyncio.to_thread(_shut, postgres_url, away=False)
    assert {answer[:9] for answer in told} <= {"451 4.3.0", "451 4.3.2"}
    assert "Traceback" not in "\n".join(one.lines)
    away = [(event["event"], event["error"]) for event in one.events if event["level"] == "error"]
    assert away and all(error.startswith("the database did not answer: ") for _, error in away)
    assert len(away) == len(set(away)) <= 12, away
    async with asyncio.timeout(PATIENCE):
        while len(found := (await command(one.file, "refused", "--json"))[1]) < 8:
            await asyncio.sleep(0.2)
    assert {refusal["sender"] for refusal in found} == {f"kim{n}@office.example" for n in range(8)}


def _refused(address, n):
    with smtplib.SMTP(*address, timeout=30) as client:
        try:
            client.sendmail(f"kim{n}@office.example", ["4162000999@fax.local"], pdf())
        except smtplib.SMTPResponseException as refusal:
            return f"{refusal.smtp_code} {refusal.smtp_error.decode()}"
        except smtplib.SMTPRecipientsRefused as refusal:
            ((code, text),) = refusal.recipients.values()
            return f"{code} {text.decode()}"
    return "taken"


def _shut(url, *, away):
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {not away}')
        if away:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def _cut_off(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_stop_is_a_clean_end(nodes, faxapi, outbox):
    """SIGTERM under load: exit 0, steps in flight finished or put back, nothing called unknown for it."""
    ledger = Ledger(faxapi, outbox)
    faxapi.before_post = lambda _: Reply(delay=0.3)
    one, other = await nodes(2, documents={"workers": 1}, spool={"drain": 60.0})  # as long as a busy machine takes
    sending = [asyncio.create_task(ledger.deliver(lambda: one.address, pdf())) for _ in range(8)]
    await faxapi.until(lambda: len(faxapi.uploads) >= 2)
    await asyncio.gather(*sending)
    assert await one.stop() == 0
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == []
    assert {tale.state for tales in ledger.told().values() for tale in tales} == {"delivered"}
    assert await other.stop() == 0
