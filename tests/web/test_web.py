"""The status page, health and metrics, over real HTTP against a real spool."""

import asyncio
import contextlib
import io
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from mail2fax import httpd, log, node
from mail2fax.config import Settings
from mail2fax.health import Health
from mail2fax.model import Envelope, Receipt, Recipient, State
from mail2fax.spool import SpoolUnavailable, operator
from mail2fax.spool.database.schema import faxes
from mail2fax.web import app, metrics
from tests.conftest import Bridge
from tests.support import samples, spooling
from tests.support.faxapi import Reply
from tests.support.patience import PATIENCE

CANARY = "canary-token-7391"
SQLITE = pytest.mark.parametrize("spool_url", ["sqlite"], indirect=True)  # where the database makes no difference
VOID = {"meta", "link", "input", "br", "img", "rect", "path"}


class Page(HTMLParser):
    """What a browser would read, and complaints about what it should not have to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.text = ""
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attributes:
            if tag == "script" or name == "style" or name.startswith("on"):
                self.wrong.append(f"active: {tag} {name}")
            if name in {"href", "src", "action"} and not (value or "").startswith(("/", "?", "data:image/svg+xml,")):
                self.wrong.append(f"elsewhere: {value}")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self._open or self._open.pop() != tag):
            self.wrong.append(f"not nested: {tag}")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "title"}:
            self.text += " " + data
        self.text = " ".join(self.text.split())


class Site:
    """A served page and a client for it."""

    def __init__(self, client: httpx.AsyncClient, health: Health, address: str) -> None:
        self.client = client
        self.health = health
        self.address = address

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def page(self, path: str = "/", status: int = 200) -> Page:
        answer = await self.get(path)
        assert answer.status_code == status
        page = Page(answer.text)
        assert not page.wrong, page.wrong
        return page

    async def samples(self) -> dict[str, float]:
        return _samples((await self.get("/metrics")).text)


def _samples(text: str) -> dict[str, float]:
    """Every sample as 'name{label=value}'."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextlib.asynccontextmanager
async def serving(spool: Any, **sections: Any):
    settings = Settings.model_validate({"web": {"listen": "127.0.0.1:0"}, **sections})
    log.configure("console", "info", io.StringIO())
    working = asyncio.create_task(asyncio.Event().wait())
    health = Health(("127.0.0.1:2525",), working)
    try:
        async with app.serving(settings, spool, health) as address:
            async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:
                yield Site(client, health, address)
    finally:
        working.cancel()


@pytest.fixture
async def site(spool):
    async with serving(spool) as opened:
        yield opened


# -- health


@SQLITE
async def test_healthy_while_the_worker_runs(site):
    """/healthz is 200 as long as a restart would not help, 503 once the worker's loop ended by a fault of its own."""
    assert (await site.get("/healthz")).json()["alive"] is True
    site.health.working.cancel()
    await asyncio.wait({site.health.working})
    answer = await site.get("/healthz")
    assert (answer.status_code, answer.json()["alive"]) == (503, False)
    assert "worker not running" in (await site.get("/readyz")).json()["reasons"]


@SQLITE
async def test_ready_or_the_reasons(site):
    """/readyz is 200 only when mail may be brought; else 503 with each reason, and the page says it too."""
    assert (await site.get("/readyz")).json() == {"ready": True, "reasons": []}
    site.health.draining, site.health.addresses = True, ()
    answer = await site.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["draining", "not listening"])
    assert "Not ready: draining, not listening" in (await site.page()).text
    assert (await site.samples())["mail2fax_ready"] == 0
    site.health.working = None  # not started yet: no reason to restart it
    assert "worker not running" in (await site.get("/readyz")).json()["reasons"]
    assert (await site.get("/healthz")).status_code == 200


@SQLITE
async def test_not_ready_without_room_for_a_mail(site, spool):
    """A spool's folder that is gone, as a full disk, refuses every mail at the door: /readyz, the page and a gauge say so."""
    folder = spool.contents.folder
    folder.rename(folder.with_name("elsewhere"))
    answer = await site.get("/readyz")
    assert (answer.status_code, len(answer.json()["reasons"])) == (503, 1)
    assert answer.json()["reasons"][0].startswith("no room for mails: ")
    assert "Not ready: no room for mails" in (await site.page()).text
    found = await site.samples()
    assert (found["mail2fax_ready"], found["mail2fax_spool_free_bytes"]) == (0, 0)
    folder.with_name("elsewhere").rename(folder)
    assert (await site.get("/readyz")).status_code == 200


@SQLITE
async def test_a_database_that_is_away_is_told(site, spool, monkeypatch):
    """Without the database: not ready, still healthy, counters still served, and the page says so in words."""

    async def broken(*_: object) -> None:
        raise SpoolUnavailable("no route to host", passing=True)

    monkeypatch.setattr(spool, "change", broken)
    assert "Not ready: database takes no writes" in (await site.page()).text
    monkeypatch.setattr(spool, "read", broken)
    assert (await site.get("/readyz")).json()["reasons"] == ["database takes no writes"]
    assert (await site.get("/healthz")).status_code == 200
    assert "The database does not answer" in (await site.page("/", 503)).text
    found = await site.samples()
    assert found["mail2fax_spool_up"] == 0
    assert "mail2fax_mails_accepted_total" in found
    assert "mail2fax_replies_owed" not in found


@SQLITE
async def test_a_question_that_hangs_keeps_nothing_else_from_going_on(site, spool, monkeypatch):
    """At most two questions hang in the database, whoever watches: no thread is taken from those who work."""
    begun, asked = asyncio.Event(), []

    async def hanging(*_: object) -> None:
        asked.append(begun.set())
        await asyncio.Event().wait()

    monkeypatch.setattr(spool, "change", hanging)
    monkeypatch.setattr(app, "_PATIENCE", 0.2)
    answers = await asyncio.gather(*(site.get("/readyz") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {503}
    assert len(asked) == 2
    assert (await site.get("/healthz")).status_code == 200


# -- metrics

EVENTS = [
    (
        lambda: log.accepted(receipt=Receipt("X"), envelope=Envelope("a@b.example", (), "::1"), size=1, seconds=0.002),
        {"mail2fax_mails_accepted_total": 1, "mail2fax_commit_seconds_count": 1},
    ),
    (
        lambda: log.refused(answer="550 5.7.1 no", client="::1", user="", sender="a@b.example", recipient="x@y"),
        {"mail2fax_mails_refused_total{code=550 5.7.1}": 1},
    ),
    (
        lambda: log.refused(answer="anna@office.example", client="::1", user="", sender=None, recipient=""),
        {"mail2fax_mails_refused_total{code=other}": 1},
    ),
    (lambda: log.prepared(fax="X-1", pages=3, seconds=0.3), {"mail2fax_prepare_seconds_bucket{le=0.5}": 1}),
    (
        lambda: log.provider_answered(request="submit", answer="taken", seconds=1.2),
        {
            "mail2fax_provider_answers_total{answer=taken,request=submit}": 1,
            "mail2fax_provider_seconds_count{request=submit}": 1,
        },
    ),
    (
        lambda: log.ended(fax="X-1", number="6474959659", state="failed", reason="provider-failed", seconds=61),
        {
            "mail2fax_faxes_ended_total{outcome=failed}": 1,
            "mail2fax_faxes_ended_reasons_total{outcome=failed,reason=provider-failed}": 1,
            "mail2fax_outcome_seconds_sum{outcome=failed}": 61,
        },
    ),
    (
        lambda: log.replied(fax="X-1", recipient="a@b.example", outcome="failed", seconds=62),
        {"mail2fax_replies_total{fate=sent}": 1, "mail2fax_reply_seconds_sum": 62},
    ),
    (lambda: log.reply_suppressed(fax="X-1", why="NOTIFY"), {"mail2fax_replies_total{fate=suppressed}": 1}),
    (
        lambda: log.reply_undeliverable(fax="X-1", recipient="a@b.example", note="550"),
        {"mail2fax_replies_total{fate=undeliverable}": 1},
    ),
    (
        lambda: log.reply_postponed(fax="X-1", note="450", seconds=30),
        {"mail2fax_replies_postponed_total": 1},
    ),
    (
        lambda: log.step_failed(fax="X-1", state="received", attempts=1, error=OSError("x")),
        {"mail2fax_errors_total{event=step failed}": 1},
    ),
    (lambda: log.spool_failed(work="submit", error=TimeoutError()), {"mail2fax_errors_total{event=spool failed}": 1}),
    (
        lambda: log.accepted_for_postmaster(queue_id="X", client="::1", sender="a@b.example"),
        {"mail2fax_mails_accepted_total": 1, "mail2fax_commit_seconds_count": 0},
    ),
    (
        lambda: log.turned_away(client="::1", answer="421 4.7.0 too many connections"),
        {"mail2fax_mails_refused_total{code=421 4.7.0}": 1},
    ),
    (lambda: log.login_failed(client="::1", name="anna"), {"mail2fax_logins_failed_total": 1}),
    (lambda: log.login_refused(client="::1", name="anna"), {"mail2fax_logins_failed_total": 1}),
    (lambda: log.tls_failed(client="::1", reason="no shared cipher"), {"mail2fax_tls_failed_total": 1}),
    (
        lambda: log.not_accepted(client="::1", sender="a@b.example", error=OSError("full")),
        {"mail2fax_errors_total{event=not accepted}": 1},
    ),
    (
        lambda: log.session_failed(client="::1", error=OSError("x")),
        {"mail2fax_errors_total{event=session failed}": 1},
    ),
    (
        lambda: log.not_reloaded(what="certificate", problem="x"),
        {"mail2fax_errors_total{event=not reloaded}": 1},
    ),
    (
        lambda: log.template_broken(template="x", folder="y", problem="z"),
        {"mail2fax_errors_total{event=template broken, the shipped one was used}": 1},
    ),
    (lambda: log.lease_lost(fax="X-1"), {"mail2fax_errors_total{event=lease lost}": 1}),
    (
        lambda: log.worker_ended(folder="x", how="killed", trace="", again=True),
        {"mail2fax_errors_total{event=worker ended}": 1},
    ),
]


@pytest.mark.parametrize(("happens", "counted"), EVENTS)
def test_every_counted_event_is_counted(happens, counted):
    """What the log says is counted, whatever the level that is shown: who words an event anew is told here."""
    log.configure("console", "error", io.StringIO())
    counter = metrics.Metrics()
    with log.observed(counter.note):
        happens()
    happens()  # nobody listens any more
    found = _samples(counter.exposition(None, up=False, ready=True, free_bytes=None).decode())
    assert {name: found.get(name) for name in counted} == counted


def test_an_observer_that_fails_harms_nobody():
    """A fax must not fail for being counted."""
    log.configure("console", "info", out := io.StringIO())
    with log.observed(lambda _event, facts: facts["no such fact"]):
        log.submitted(fax="X-1", number="6474959659", ref="r", line="")
    assert "X-1" in out.getvalue()


async def test_gauges_say_how_the_spool_stands(site, spool):
    """Faxes by state and age, held faxes, owed and given up replies, lines in trouble: read when asked for."""
    await spooling.put(spool, content=b"one")
    await spooling.replied(spool, content=b"two")  # also takes the first along to where it is
    found = await site.samples()
    assert sum(value for name, value in found.items() if name.startswith("mail2fax_faxes_waiting")) == 1
    assert found["mail2fax_replies_owed"] == found["mail2fax_replies_undeliverable"] == 0
    assert found["mail2fax_spool_up"] == found["mail2fax_ready"] == 1

    await spool.change(lambda c: c.execute(update(faxes).values(reply="undeliverable")) and None)
    await spool.change(operator.hold, operator.waiting(), "root")
    await spool.trouble("accounting", "held", None, "HTTP 401")
    await spooling.ended(spool, content=b"three")
    found = await site.samples()
    assert found["mail2fax_faxes_held"] == 1
    assert found["mail2fax_replies_owed"] == 1
    assert found["mail2fax_replies_undeliverable"] == 2
    assert found["mail2fax_line_failures{kind=held,line=accounting}"] == 1
    assert max(value for name, value in found.items() if "oldest_waiting" in name) > 0


async def test_a_fax_is_counted_from_door_to_reply(bridge, outbox):
    """Each number of one fax's way arrives in the metrics, and no address, number, id or token does."""
    log.configure("console", "info", io.StringIO())
    log.hide(CANARY)
    running = await bridge(web={"listen": "127.0.0.1:0"})
    queue_id = await running.send(samples.mail(samples.pdf(2), subject="Biopsy of Mrs Smith"))
    await running.until(queue_id, State.DELIVERED)
    await outbox.next()
    async with httpx.AsyncClient(base_url=f"http://{running.node.page}", trust_env=False) as client:
        async with asyncio.timeout(PATIENCE):
            while not (found := _samples(text := (await client.get("/metrics")).text))[
                "mail2fax_replies_total{fate=sent}"
            ]:
                await asyncio.sleep(0.05)
        pages = text + (await client.get("/")).text + (await client.get(f"/fax/{queue_id}-1")).text
    assert found["mail2fax_mails_accepted_total"] == 1
    assert found["mail2fax_commit_seconds_count"] == found["mail2fax_prepare_seconds_count"] == 1
    assert found["mail2fax_provider_answers_total{answer=taken,request=submit}"] == 1
    assert found["mail2fax_provider_answers_total{answer=status,request=status}"] >= 1
    assert found["mail2fax_faxes_ended_total{outcome=delivered}"] == 1
    assert found["mail2fax_replies_total{fate=sent}"] == found["mail2fax_reply_seconds_count"] == 1
    assert not re.search(rf"office\.example|6474959659|{queue_id}|canary", text)
    assert "delivered" in pages
    assert not re.search("canary|Biopsy|Smith|document.pdf", pages)


# -- the page


@SQLITE
async def test_an_empty_spool_says_what_to_do(site):
    """Who looks for the first time is told how to fax something."""
    page = await site.page()
    assert "All is well" in page.text
    assert "number@fax.local" in page.text


async def test_what_waits_and_why_is_seen(site, spool):
    """A pause, lines held or silent, faxes held, stuck, late or unknown, replies given up: each is pointed at."""
    await spooling.replied(spool, State.UNKNOWN, content=b"unknown")
    lost = await spooling.ended(spool, content=b"lost", sender="lost@office.example")
    held = await spooling.prepared(spool, content=b"held", sender="held@office.example")
    await spool.change(operator.hold, operator.waiting(held.id), "root")
    stuck = await spooling.submitted(spool, content=b"stuck", sender="stuck@office.example")
    late = await spooling.submitted(spool, content=b"late", sender="late@office.example")
    for fax, values in (
        (stuck, {"due_at": None}),
        (late, {"received_at": late.received_at.timestamp() - 4000}),
        (lost, {"reply": "undeliverable", "replied_at": lost.received_at, "due_at": None}),
    ):
        await spool.change(
            lambda c, f=fax, v=values: c.execute(update(faxes).where(faxes.c.id == f.id).values(v)) and None
        )
    await spool.trouble("accounting", "held", 300.0, "HTTP 401: the provider refuses the line's token")
    await spool.trouble("", "unreachable", 20.0, "connection refused")
    await spool.change(operator.pause, "maria")
    text = (await site.page()).text
    for words in (
        "something needs a look",
        "Sending is paused, by maria since",
        "1 fax of the last day: it is not known whether it arrived",
        "Line accounting is held: no fax of it can be sent until somebody mends that",
        "Line default: the provider does not answer",
        "next try in 5 min",
        "1 fax is held by an operator",
        "held by root",
        "1 fax is stuck",
        "nobody acts on it",
        "1 fax waits for longer than 15 min",
        "67 min",
        "1 reply could not be delivered",
    ):
        assert words in text, words


@pytest.mark.parametrize("what", ["unknown", "paused"])
async def test_what_needs_a_person_is_never_well(site, spool, what):
    """A fax of which nobody knows, and a pause, do not go away by themselves: the page does not call that well."""
    if what == "paused":
        await spool.change(operator.pause, "maria")
    else:
        await spooling.replied(spool, State.UNKNOWN)
    assert "All is well" not in (await site.page()).text


async def test_only_the_last_day_is_drawn(site, spool):
    """The chart and its sums hold the faxes of 24 hours, by outcome; older ones are history."""
    await spooling.replied(spool, content=b"new")
    old = await spooling.replied(spool, State.FAILED, content=b"old")
    values = {"received_at": old.received_at.timestamp() - 90_000}
    await spool.change(lambda c: c.execute(update(faxes).where(faxes.c.id == old.id).values(values)) and None)
    text = (await site.page()).text
    assert "Delivered 1 Failed 0 Unknown 0 Cancelled 0 On the way 0 Pages delivered 3" in text
    assert "1 in all" in (await site.page()).html


HOSTILE = [
    '"<script>alert(1)</script>"@evil.example',
    '"\'><img src=x onerror=alert(1)>"@evil.example',
    "{{7*7}}{%print(1)%}@evil.example",
    "a\u202egpj.exe\u0007\u2028@evil.example",
    f"{CANARY}@evil.example",
]


async def test_a_hostile_sender_is_only_text(site, spool):
    """Whatever a client says its name is: no markup, no template, no trick with characters, no secret reaches a page."""
    log.hide(CANARY)
    for sender in HOSTILE:
        incoming = spool.incoming()
        incoming.write(b"mail")
        envelope = Envelope(sender, (Recipient(sender, "6474959659", line=sender),), sender, helo=sender)
        receipt = await spool.put(envelope, incoming)
        fax = await spooling.claim(spool, "prepare")
        await spool.postpone(fax, 60.0, event={"note": sender, sender: sender})
        await spool.trouble(sender, "held", 300.0, sender)
        for path in ("/", f"/fax/{receipt.queue_id}", f"/find?q={quote(sender)}"):
            page = Page((await site.get(path)).text)
            assert not page.wrong
            assert "evil.example" in page.text
            assert not re.search(f"[\u202e\u0007\u2028]|{CANARY}", page.html)


async def test_a_fax_has_its_history(site, spool):
    """Everything an administrator asks about one fax; nothing of what it was about."""
    fax = await spooling.replied(spool)
    page = await site.page(f"/fax/{fax.id.lower()}")
    for words in ("(647) 495-9659", "delivered", "anna@office.example", "ref-1", "submitting", "reply sent", "2.0.0"):
        assert words in page.text, words
    assert "Lab" not in page.html
    assert 'http-equiv="refresh"' not in page.html  # it is over: nothing will change


async def test_a_mail_to_several_numbers_lists_its_faxes(site, spool):
    """A mail's id leads to its faxes, and each fax to the others."""
    receipt = await spooling.put(spool, "6474959659", "4165550143")
    assert "(416) 555-0143" in (await site.page(f"/fax/{receipt.queue_id}")).text
    assert "Other faxes of the same mail" in (await site.page(f"/fax/{receipt.queue_id}-1")).text


async def test_a_fax_is_found_by_what_people_know_of_it(site, spool):
    """By id, by number in any form, by sender, by state; what is not there is said in words."""
    fax = await spooling.submitted(spool)
    for asked in (
        fax.id,
        fax.message_id.lower(),
        "(647) 495-9659",
        "+1 647 495 9659",
        "ANNA@office.example",
        "submitted",
    ):
        page = await site.page(f"/find?q={asked.replace('+', '%2B')}")
        assert f"/fax/{fax.id}" in page.html, asked
    for asked in (
        "4165550143",
        "bob@office.example",
        "delivered",
        "6474",
        "<b>",
        "undeliverable",
        "' OR 1=1 --",
        "%00",
    ):
        assert "Nothing found" in (await site.page(f"/find?q={asked}", 404)).text
    assert "No such fax" in (await site.page("/fax/NOSUCH", 404)).text
    assert "No such page" in (await site.page("/favicon.ico", 404)).text


@SQLITE
async def test_the_page_renews_itself_when_told_to(site, spool):
    """It holds still for who reads; without JavaScript, it is kept current for a screen on the wall."""
    fax = await spooling.submitted(spool)
    for path in ("/", f"/fax/{fax.id.lower()}"):
        page = await site.page(path)
        assert 'http-equiv="refresh"' not in page.html and 'href="?renew"' in page.html
        assert '<meta http-equiv="refresh" content="10">' in (await site.page(f"{path}?renew")).html


# -- who may ask


@SQLITE
async def test_every_answer_is_guarded(site, spool):
    """No answer is kept, framed, sniffed or may load anything; the style it carries is allowed by its hash alone."""
    fax = await spooling.submitted(spool)
    for path in ("/", f"/fax/{fax.id}", "/find?q=x", "/nosuch", "/healthz", "/readyz", "/metrics"):
        headers = (await site.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "server" not in headers


@SQLITE
async def test_the_page_is_only_read(site):
    """GET and HEAD, nothing else; HEAD has no body."""
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = await site.client.request(method, "/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    answer = await site.client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


HOSTS = [
    ("127.0.0.1:8080", 200),
    ("[::1]:8080", 200),
    ("localhost", 200),
    ("mail2fax:8080", 200),  # a container's name
    ("192.0.2.7", 200),
    ("fax.local:1", 200),  # [smtp] hostname
    ("Status.Office.Example.", 200),  # [web] hosts
    ("evil.example", 421),
    ("127.0.0.1.evil.example", 421),
    ("status.office.example.evil.example:80", 421),
    ("[evil.example]", 421),
    ("", 421),
]


@SQLITE
async def test_a_strange_name_is_not_answered(spool):
    """DNS rebinding: a site that points its own name here is told nothing."""
    async with serving(spool, web={"listen": "127.0.0.1:0", "hosts": ["status.office.example"]}) as site:
        for host, status in HOSTS:
            answer = await site.get("/", Host=host)
            assert answer.status_code == status, host
            assert status == 200 or "faxes" not in answer.text


@SQLITE
async def test_a_balancers_check_names_no_host(site):
    """HAProxy asks in HTTP/1.0, without a Host; a browser always has one, so nothing is told to strangers."""
    host, _, port = site.address.rpartition(":")
    for path, status in (("/readyz", 200), ("/healthz", 200), ("/metrics", 200), ("/", 421), ("/find?q=x", 421)):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == str(status).encode(), path
        writer.close()


@SQLITE
async def test_an_alert_on_a_rise_sees_the_first(site):
    """Each outcome, fate and error is there with 0 before it happens: Prometheus sees no rise from nothing."""
    found = _samples((await site.get("/metrics")).text)
    for outcome in ("delivered", "failed", "unknown", "cancelled"):
        assert found[f"mail2fax_faxes_ended_total{{outcome={outcome}}}"] == 0
    for fate in ("sent", "suppressed", "undeliverable"):
        assert found[f"mail2fax_replies_total{{fate={fate}}}"] == 0
    assert found["mail2fax_errors_total{event=step failed}"] == 0


@SQLITE
async def test_watchers_cannot_use_up_the_connections(site):
    """The page takes a bounded number of connections; who comes later is hung up on, until others have left."""
    host, _, port = site.address.rpartition(":")
    opened = [await asyncio.open_connection(host, port) for _ in range(httpd.MOST_CONNECTIONS)]
    reader, writer = await asyncio.open_connection(host, port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    for _, one in [*opened, (reader, writer)]:
        one.close()
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await site.get("/healthz")).status_code == 200:
                    break


# -- with the node


async def test_without_listen_nothing_is_served_or_counted(bridge):
    """[web] listen turns it on; without it there is no socket and no observer."""
    running = await bridge()
    assert running.node.page == ""
    assert not log.setup._observers


async def test_a_node_that_ends_is_not_ready_but_alive(bridge_settings, faxapi):
    """From SIGTERM on no mail should be brought, and nobody should kill the node while it finishes its steps."""
    gate = asyncio.Event()
    faxapi.on_post(Reply(gate=gate))
    settings = Settings.model_validate(
        {
            **bridge_settings,
            "web": {"listen": "127.0.0.1:0"},
            "provider": {**bridge_settings["provider"], "timeout": PATIENCE},
            "spool": {**bridge_settings["spool"], "drain": PATIENCE},
        }
    )
    stack = contextlib.AsyncExitStack()
    running = await stack.enter_async_context(node.running(settings))
    bridge = Bridge(running, settings)
    async with httpx.AsyncClient(base_url=f"http://{running.page}", trust_env=False) as client:
        assert (await client.get("/readyz")).status_code == 200
        await bridge.until(await bridge.send(samples.mail(samples.pdf())), State.SUBMITTING)
        ending = asyncio.create_task(stack.aclose())
        async with asyncio.timeout(PATIENCE):
            while (await client.get("/readyz")).json() != {"ready": False, "reasons": ["draining"]}:
                await asyncio.sleep(0.01)
        assert (await client.get("/healthz")).json()["alive"] is True
        gate.set()
        await ending
        with pytest.raises(httpx.ConnectError):
            await client.get("/healthz")
