"""What an operator sees: lists whose filters stand in the URL, a table, what was refused, a month."""

import asyncio
import csv
import errno
import io
import smtplib
import time
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from mail2fax.model import Outcome, State
from mail2fax.operate import app, filters, why
from mail2fax.spool import Work, search, turned_away
from mail2fax.spool.database.schema import faxes, messages, now
from tests.support import spooling
from tests.support.answering import answer, say
from tests.support.desk import Desk, serving, token, users_file
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf

SQLITE = pytest.mark.parametrize("spool_url", ["sqlite"], indirect=True)
MANY = 50_000


@pytest.fixture
async def desk(spool, tmp_path):
    async with serving(spool, tmp_path) as opened:
        yield opened


async def _samples(spool):
    await spooling.replied(spool, content=b"1", sender="ann@a.example", line="east")
    await spooling.replied(spool, State.FAILED, content=b"2", sender="bob@b.example")
    await spooling.replied(spool, State.UNKNOWN, content=b"3", sender="ann@a.example")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 3),
        ("state=failed", 1),
        ("state=failed,unknown", 2),
        ("sender=ann@a.example", 2),
        ("sender=b.example", 1),
        ("sender=%25", 0),
        ("number=9659", 3),
        ("number=(647) 495-9659", 3),
        ("number=416", 0),
        ("line=east", 1),
        ("line=-", 2),
        ("state=unknown&sender=ann@a.example&line=-", 1),
        ("from=2020-01-01&to=2020-12-31", 0),
        ("from=2020-01-01", 3),
        ("from=nonsense", 3),
        ("held=1", 0),
    ],
)
async def test_filters_combine(spool, desk, query, shown):
    """Each narrows; all together; what makes no sense narrows nothing. The table holds the same faxes."""
    await _samples(spool)
    async with desk.as_("lou") as lou:
        page = await lou.get(f"/faxes?{query}")
        table = await lou.get(f"/faxes.csv?{query}")
    assert page.text.count('href="/fax/') == shown
    assert len(list(csv.DictReader(io.StringIO(table.text)))) == shown


async def test_a_long_list_is_paged_without_a_gap(spool, desk):
    """Following Older shows every fax once."""
    for n in range(60):
        await spooling.put(spool, content=b"%d" % n)
    seen, path = [], "/faxes"
    async with desk.as_("lou") as lou:
        while path:
            page = (await lou.get(path)).text
            seen += [piece.split('"')[0] for piece in page.split('href="/fax/')[1:]]
            older = page.split('rel="next" href="')[1:]
            path = older[0].split('"')[0].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 60


async def test_a_table_holds_no_formula(spool, desk):
    """A spreadsheet would run what a stranger wrote as his address."""
    await spooling.put(spool, sender="=cmd@evil.example")
    async with desk.as_("lou") as lou:
        (row,) = csv.DictReader(io.StringIO((await lou.get("/faxes.csv")).text))
    assert row["sender"] == "'=cmd@evil.example"


@SQLITE
async def test_a_long_table_is_whole(spool, desk, monkeypatch):
    """It is read and sent a piece at a time, and ends with the last fax, however many there are."""
    monkeypatch.setattr(app, "_PIECE", 2)
    for n in range(5):
        await spooling.put(spool, content=b"%d" % n)
    async with desk.as_("lou") as lou:
        rows = list(csv.DictReader(io.StringIO((await lou.get("/faxes.csv")).text)))
    assert len({row["fax"] for row in rows}) == len(rows) == 5


async def test_refused_mail_is_found(spool, desk):
    """By sender, number or answer; what stands there is shown as text."""
    refusal = {"client": "192.0.2.7", "user": "", "sender": "eve@evil.example", "recipient": "<b>1900@fax.local"}
    await spool.change(turned_away.write, [{**refusal, "answer": "550 5.7.1 not here"}])
    async with desk.as_("lou") as lou:
        assert "550 5.7.1 not here" in (await lou.get("/refused?q=EVIL")).text
        assert "&lt;b&gt;1900@fax.local" in (await lou.get("/refused")).text
        assert "Nothing was refused that fits" in (await lou.get("/refused?q=nobody")).text


async def test_refused_mail_is_bounded(spool, monkeypatch):
    """A flood drives out the oldest, and never grows the table."""
    monkeypatch.setattr(turned_away, "MOST", 5)
    row = {"client": "192.0.2.7", "user": "", "sender": "", "recipient": "", "answer": "550"}
    for n in range(3):
        await spool.change(turned_away.write, [{**row, "sender": f"{n}-{m}"} for m in range(4)])
    found = await spool.read(turned_away.read)
    assert [one.sender for _, one in found] == ["2-3", "2-2", "2-1", "2-0", "1-3"]


def _refused(address):
    with smtplib.SMTP(*address, timeout=30) as client:
        client.helo("client.example")
        client.mail("anna@office.example")
        client.rcpt("9005551234@fax.local")


async def test_a_mail_refused_at_the_door_is_found_at_the_page(bridge):
    """From the socket to the list: who tried, for whom, and what the answer was."""
    node = await bridge()
    await asyncio.to_thread(_refused, node.address)
    async with asyncio.timeout(PATIENCE):
        while not (found := await node.node.spool.read(turned_away.read)):
            await asyncio.sleep(0.1)
    ((_, one),) = found
    assert (one.client, one.sender) == ("127.0.0.1", "anna@office.example")
    assert "9005551234" in one.recipient and one.answer.startswith("550 5.7.1")


async def test_a_mail_refused_at_its_end_is_found_too(bridge, faxapi, outbox, monkeypatch):
    """What is said of a mail as a whole, by a rule or by a fault of ours: with all that it was for."""
    node = await bridge(reply={"max_per_hour": 0})
    faxapi.words = ["Failed"]
    await node.send(mail(pdf()))
    back = str((await outbox.next()).message["Reply-To"])
    both = "4162000001@fax.local", "4162000002@fax.local"
    away = b"Auto-Submitted: auto-replied\r\n" + mail(pdf())
    with pytest.raises(AssertionError, match="550"):
        await node.send(away, *both)
    assert (await say(node, back, answer("What does this mean?")))[0] == 550
    put = node.node.spool.put
    monkeypatch.setattr(node.node.spool, "put", _no_room)
    with pytest.raises(AssertionError, match="452"):
        await node.send(mail(pdf()), *both)
    monkeypatch.setattr(node.node.spool, "put", put)
    async with asyncio.timeout(PATIENCE):
        while len(found := await node.node.spool.read(turned_away.read)) < 3:
            await asyncio.sleep(0.1)
    told = [(one.sender, one.recipient, one.answer[:9]) for _, one in reversed(found)]
    assert told == [
        ("anna@office.example", ", ".join(both), "550 5.7.1"),
        ("anna@office.example", back, "550 5.7.1"),
        ("anna@office.example", ", ".join(both), "452 4.3.1"),
    ]


async def _no_room(_envelope, _content):
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_month_in_sums(spool, desk):
    """By line and sender; pages of what was delivered."""
    await _samples(spool)
    since, until = (
        (await spool.read(search.found, search.Search()))[0].received_at.replace(day=1, hour=0, minute=0, second=0),
        None,
    )
    sums = await spool.read(search.sums, since, until or since.replace(year=since.year + 1))
    assert {(one.line, one.sender): (one.faxes, one.pages) for one in sums} == {
        ("east", "ann@a.example"): (1, 3),
        ("", "ann@a.example"): (1, 0),
        ("", "bob@b.example"): (1, 0),
    }
    async with desk.as_("lou") as lou:
        assert "bob@b.example" in (await lou.get("/month")).text
        assert "No faxes in this month" in (await lou.get("/month?month=1999-01")).text


async def test_what_a_month_cost_is_added_up_by_currency(spool):
    """As exact decimal numbers, where the provider tells it; what is no number is left out."""
    for n, cost in enumerate(["0.10", "0.20", "none", "NaN", "Infinity"]):
        await spooling.submitted(spool, content=b"%d" % n)
        detail = {"cost": cost, "currency": "CAD"}
        await spool.end(await spooling.claim(spool, Work.POLL), Outcome(State.DELIVERED, "2.0.0", None, detail), {})
    since = (await spool.read(search.found, search.Search()))[0].received_at.replace(day=1, hour=0, minute=0)
    (one,) = await spool.read(search.sums, since, since.replace(year=since.year + 1))
    assert one.costs == {"CAD": Decimal("0.30")}


async def test_explain_is_a_form(spool, desk):
    """Rule by rule, with a document; what was refused of the sender stands below; a strange form does nothing."""
    refusal = {"client": "192.0.2.7", "user": "", "sender": "eve@a.example", "recipient": "1@fax.local"}
    await spool.change(turned_away.write, [{**refusal, "answer": "550 5.1.1 no such number"}])
    async with desk.as_("lou") as lou:
        data = {"token": token((await lou.get("/explain")).text), "sender": "eve@a.example"}
        files = {"file": ("letter.pdf", pdf(), "application/pdf")}
        good = await lou.post("/explain", data={**data, "recipient": "416-555-0123"}, files=files)
        bad = await lou.post("/explain", data={**data, "recipient": "900-555-1234"}, files={"file": ("", b"")})
        strange = await lou.post("/explain", data={**data, "token": "x"}, files=files)
    assert "It would be faxed" in good.text and "1 page" in good.text and "550 5.1.1 no such number" in good.text
    assert "It would not be faxed" in bad.text
    assert strange.status_code == 403


@SQLITE
async def test_fifty_thousand_faxes_are_no_burden(spool, desk):
    """No page looks at all of them one by one: it would take seconds, not a fraction of one."""

    def fill(connection):
        rows = [
            {"id": f"M{n:06}", "client": "", "helo": "", "user": "", "reverse_path": "", "ret": "", "envid": ""}
            for n in range(MANY)
        ]
        extra = {"size": 1, "sha256": ""}
        connection.execute(insert(messages).values(received_at=now(), **extra), rows)
        states = ["delivered", "failed", "unknown", "cancelled"]
        connection.execute(
            insert(faxes).values(received_at=now(), finished_at=now()),
            [
                {
                    "id": f"M{n:06}-1", "message_id": f"M{n:06}", "sender": f"s{n % 50}@a.example", "recipient": "",
                    "number": "4165550100", "cover": False, "line": "", "orcpt": "", "state": states[n % 4],
                }
                for n in range(MANY)
            ],
        )  # fmt: skip

    await spool.change(fill)
    spent = {}
    async with desk.as_("lou") as lou:
        for path in ("/", "/faxes", "/faxes?sender=s7@a.example&state=failed", "/month", "/refused"):
            await lou.get(path)
            begun = time.process_time()
            assert (await lou.get(path)).status_code == 200
            spent[path] = time.process_time() - begun
    assert max(spent.values()) < 1.0, spent


@pytest.mark.parametrize(
    "path",
    [
        "/refused?before=99999999999999999999",
        f"/refused?before={'9' * 5000}",
        "/refused?q=%00",
        "/faxes?sender=%00@a.example",
        "/faxes?line=%00",
        "/faxes?before=%00",
        "/faxes.csv?sender=%00",
        "/faxes?to=9999-12-31",
        "/faxes?from=0001-01-01&to=0001-01-01",
        "/month?month=9999-12",
        "/fax/%00",
        "/fax/%00/document.pdf",
        f"/faxes?sender={'%25' * 3000}",
    ],
)
async def test_a_strange_address_is_answered(spool, desk, path):
    """Nobody typed it on purpose, and no database takes it; it is no error of ours."""
    async with desk.as_("dora") as dora:
        assert (await dora.get(path)).status_code == (404 if path.startswith("/fax/") else 200)


def test_a_day_is_as_long_as_its_clocks_say():
    """When summer time ends it has 25 hours."""
    wanted = filters.search({"from": "2026-11-01", "to": "2026-11-01"}, ZoneInfo("America/Toronto"))
    assert wanted.until - wanted.since == timedelta(hours=25)


async def test_refused_mail_is_shown_for_a_week(spool):
    """Also where nothing was refused since, and so nothing was deleted."""
    row = {"client": "192.0.2.7", "user": "", "sender": "eve@a.example", "recipient": "", "answer": "550"}
    await spool.change(turned_away.write, [row])
    age = update(turned_away.turned_away).values(at=now() - turned_away.KEEP_SECONDS - 60)
    await spool.change(lambda connection: connection.execute(age) and None)
    assert await spool.read(turned_away.read) == []


@SQLITE
@pytest.mark.parametrize("sender", ["a@b.example\r\nBcc: c@d.example", "<@,:;", '"', "\0", "x" * 5000])
async def test_explain_takes_any_sender(desk, sender):
    """It is a form for what goes wrong: what is typed there is often wrong."""
    async with desk.as_("lou") as lou:
        data = {"token": token((await lou.get("/explain")).text), "sender": sender, "recipient": sender}
        files = {"file": ("letter.txt", b"hello", "text/plain")}
        assert (await lou.post("/explain", data=data, files=files)).status_code == 200


@SQLITE
async def test_explain_takes_no_other_kind_of_form(desk):
    """One without parts could have millions of fields, each read before anybody looks at it."""
    async with desk.as_("lou") as lou:
        data = {"token": token((await lou.get("/explain")).text), "sender": "a@b.example", "recipient": "4165550123"}
        assert (await lou.post("/explain", data=data)).status_code == 403


@SQLITE
async def test_one_document_at_a_time_is_explained(desk, monkeypatch):
    """However many ask: the mails need the workers, too. Who would wait for long is told."""
    at_once, most, gate = 0, 0, asyncio.Event()

    async def explained(_settings, _fields):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await gate.wait()
        at_once -= 1

    monkeypatch.setattr(why, "explained", explained)
    async with desk.as_("lou") as lou:
        data = {"token": token((await lou.get("/explain")).text), "sender": "", "recipient": "4165550123"}

        async def asked() -> int:
            return (await lou.post("/explain", data=data, files={"file": ("", b"")})).status_code

        monkeypatch.setattr(app, "_QUEUE", 0.3)
        four = {asyncio.create_task(asked()) for _ in range(4)}
        while len(four) > 1:
            done, four = await asyncio.wait(four, return_when=asyncio.FIRST_COMPLETED)
            assert {one.result() for one in done} == {409}
        monkeypatch.setattr(app, "_QUEUE", PATIENCE)
        two = [asyncio.create_task(asked()) for _ in range(2)]
        gate.set()
        assert await asyncio.gather(*four, *two) == [200] * 3
    assert most == 1


async def test_the_page_and_the_door_read_the_same_users(bridge, tmp_path):
    """A reload, as by SIGHUP, counts for both."""
    sections = {"smtp": {"users_file": users_file(tmp_path)}, "web": {"operate": "127.0.0.1:0"}}
    node = (await bridge(**sections)).node
    async with Desk(node.operate, node.listener.users).as_("ann") as ann:
        assert (await ann.get("/act/pause")).status_code == 200
        users_file(tmp_path, {"ann": ("look",)})
        node.listener.reload()
        assert (await ann.get("/act/pause")).status_code == 303
