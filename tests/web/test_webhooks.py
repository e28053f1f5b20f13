"""Telnyx's webhooks over real sockets: a signed one hurries the look and brings the pages; nothing else does anything."""

import asyncio
import base64
import contextlib
import json
import time

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mail2fax.cli.check import run
from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.providers import UnusableProvider
from mail2fax.sandbox import server
from mail2fax.spool import questions
from mail2fax.web import webhooks
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf
from tests.support.vendors import Declared

OURS, OTHERS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DELIVERED = {"page_count": 2, "call_duration_secs": 25}


def public(key):
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def event(ref, kind="fax.delivered", **payload):
    """As developers.telnyx.com/api-reference/callbacks/fax-delivered shows it."""
    payload = {"fax_id": ref, "direction": "outbound", "status": kind.partition(".")[2], **payload}
    data = {"record_type": "event", "id": "95479a2e", "event_type": kind, "payload": payload}
    return json.dumps({"data": data, "meta": {"attempt": 1}}).encode()


def signed(body, key=OURS, age=0, **headers):
    """The two headers."""
    stamp = str(int(time.time()) - age)
    signature = base64.b64encode(key.sign(f"{stamp}|".encode() + body)).decode()
    return {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature, **headers}


@pytest.fixture
async def box():
    async with server.serve("127.0.0.1:0") as running:
        yield running


def settings(box):
    telnyx = {
        "name": "telnyx",
        "url": box.url.removesuffix("/api/fax") + "/v2",
        "account": "connection-1",
        "from_number": "4165550000",
        "options": {"webhook_key": public(OURS)},
    }
    other = {"name": "other", "senders": ["x@x.example"], "options": {"webhook_key": public(OTHERS)}}
    quiet = {"first": 60.0, "longest": 60.0}  # by themselves the looks come too late for these tests
    return {"provider": telnyx, "line": [other], "poll": quiet, "web": {"webhooks": "127.0.0.1:0"}}


@pytest.fixture
async def waiting(bridge, box):
    """A node with a fax at the provider that ended there already, and whose next look is a minute away."""
    running = await bridge(**settings(box))
    queue_id = await running.send(mail(pdf(2)), "4165550100@fax.local")
    fax = await running.until(queue_id, State.SUBMITTED)
    async with httpx.AsyncClient(base_url=f"http://{running.node.webhooks}") as client:
        yield running, queue_id, fax.provider_ref, client


async def post(client, body, headers):
    return (await client.post("/telnyx", content=body, headers=headers)).status_code


async def test_a_signed_one_hurries_the_look_and_tells_the_pages(waiting, outbox):
    """What ended the fax is still the provider's answer to our question; the same webhook again is only thanked for."""
    running, queue_id, ref, client = waiting
    body = event(ref, **DELIVERED)
    Declared("telnyx").check(json.loads(body), {"$ref": "#/$defs/Delivered"}, "the webhook")
    headers = signed(body)
    assert await post(client, body, headers) == 200
    fax = await running.until(queue_id, State.DELIVERED)
    assert (fax.detail["pages_sent"], fax.detail["seconds"]) == (2, 25)
    again = await client.post("/telnyx", content=body, headers=headers)
    assert (again.status_code, again.headers["connection"]) == (200, "close")  # a later one is not cut in its middle
    history = await running.node.spool.read(questions.history, fax.id)
    assert [one.what for one in history].count("heard") == 1
    assert (await outbox.next()).message["Subject"]


REFUSED = {
    "signed by a stranger": lambda body: (body, signed(body, Ed25519PrivateKey.generate()), 401),
    "changed on the way": lambda body: (body.replace(b'"page_count": 2', b'"page_count": 9'), signed(body), 401),
    "moved to now": lambda body: (body, signed(body, age=900) | {"telnyx-timestamp": str(int(time.time()))}, 401),
    "six minutes old": lambda body: (body, signed(body, age=360), 401),
    "from the future": lambda body: (body, signed(body, age=-360), 401),
    "without a time": lambda body: (body, {**signed(body), "telnyx-timestamp": ""}, 401),
    "without a signature": lambda body: (body, {"telnyx-timestamp": str(int(time.time()))}, 401),
    "with half a signature": lambda body: (body, {**signed(body), "telnyx-signature-ed25519": "Zm9v"}, 401),
    "with a time of other digits": lambda body: (body, {**signed(body), "telnyx-timestamp": b"\xd9\xa1"}, 401),
    "huge, though signed": lambda body: (body + b" " * 70_000, signed(body + b" " * 70_000), 413),
    "of another line's key": lambda body: (body, signed(body, OTHERS), 200),
    "about nobody's fax": lambda _: (other := event("ref-of-nobody"), signed(other), 200),
    "about an incoming fax": lambda body: (i := body.replace(b"outbound", b"inbound"), signed(i), 200),
    "no JSON": lambda _: (b"\xff{", signed(b"\xff{"), 200),
    "nothing": lambda _: (b"", signed(b""), 200),
    "a list": lambda _: (b"[[1]]", signed(b"[[1]]"), 200),
    "too deep": lambda _: (b"[" * 60_000, signed(b"[" * 60_000), 200),
}


async def test_everything_else_does_nothing(waiting, box, monkeypatch):
    """Forged, replayed, old, huge, slow and meaningless ones: no look, no change. Then a true one is heard at once."""
    monkeypatch.setattr(webhooks, "PATIENCE", 0.4)
    monkeypatch.setattr(webhooks, "LIFE", 1.5)
    running, queue_id, ref, client = waiting
    body = event(ref, **DELIVERED)
    for name, made in REFUSED.items():
        sent, headers, status = made(body)
        assert await post(client, sent, headers) == status, name
    assert (await client.get("/telnyx")).status_code == 405
    assert (await client.post("/", content=body, headers=signed(body))).status_code == 404
    await _slow(running.node.webhooks, body)
    (fax,) = await running.faxes(queue_id)
    assert (fax.state, dict(fax.detail), box.fax(ref).polls) == (State.SUBMITTED, {}, 0)
    assert await post(client, body, signed(body)) == 200
    await running.until(queue_id, State.DELIVERED)
    assert box.fax(ref).polls == 1


async def _slow(address, body):
    """More connections than there are places, that say half of something and no more: each is ended."""
    host, _, port = address.rpartition(":")
    head = f"POST /telnyx HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
    async with contextlib.AsyncExitStack() as stack:
        ends = []
        for n in range(80):
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            with contextlib.suppress(OSError):
                writer.write(head + (b"\r\n" + body[:20] if n % 2 else b""))
            ends.append(reader)
        async with asyncio.timeout(PATIENCE):
            for reader in ends:
                with contextlib.suppress(OSError):
                    await reader.read()


async def test_a_body_that_does_not_come_is_told_so(waiting, monkeypatch):
    """Long before its connection's life ends, and whatever came of it is forgotten."""
    monkeypatch.setattr(webhooks, "PATIENCE", 0.3)
    running, queue_id, ref, _ = waiting
    body = event(ref, **DELIVERED)
    host, _, port = running.node.webhooks.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    writer.write(f"POST /telnyx HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body[:-1])
    async with asyncio.timeout(webhooks.LIFE - 5):
        assert b" 408 " in await reader.readline()
    writer.close()
    assert (await running.faxes(queue_id))[0].state is State.SUBMITTED


async def test_pages_are_believed_of_a_delivered_fax_only(waiting):
    """A count that is no count, or one told of a failure, is left out."""
    running, queue_id, ref, client = waiting
    for body in (event(ref, page_count=True), event(ref, "fax.failed", page_count=1), event(ref, page_count=-1)):
        await post(client, body, signed(body))
    fax = await running.until(queue_id, State.DELIVERED)
    assert "pages_sent" not in fax.detail


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "no line at telnyx has options.webhook_key"), ({"webhook_key": "Zm9v"}, "not the base64 of 32 bytes")],
)
async def test_a_listener_that_can_believe_nobody_does_not_start(bridge, box, options, words):
    """The error names the setting, and `check` says so, too."""
    wanted = settings(box)
    wanted["provider"]["options"], wanted["line"] = options, []
    with pytest.raises(UnusableProvider, match=words):
        await bridge(**wanted)
    said = [finding.said for finding in await run(Settings.model_validate(wanted)) if not finding.good]
    assert any(words in one for one in said)
