"""The sandbox: every magic number does what its line says, forms are read strictly, and its memory is bounded."""

import asyncio
import io
import os
import signal

import httpx
import pikepdf
import pytest

from mail2fax.config import Provider, Settings
from mail2fax.model import Line, Verdict
from mail2fax.providers.rinble import Rinble
from mail2fax.rules import address
from mail2fax.rules.policy import Policy
from mail2fax.sandbox import form, server
from mail2fax.sandbox.scenarios import DEFAULT, SCENARIOS, Shape

LINE = Line("", "canary-token-1")
ANY = "6474959659"


@pytest.fixture
def document(tmp_path):
    """Two pages, letter and A4."""
    path = tmp_path / "document.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(612, 792))
        pdf.add_blank_page(page_size=(595, 842))
        pdf.save(path)
    return path


@pytest.fixture
async def box():
    """A sandbox that can be reached."""
    async with server.serve("127.0.0.1:0") as box:
        yield box


@pytest.fixture
async def provider(box):
    """The bridge's side of it."""
    provider = Rinble(Provider(url=box.url, timeout=5.0))
    yield provider
    await provider.close()


@pytest.fixture
async def impatient(box):
    """The same with less patience than the sandbox has."""
    provider = Rinble(Provider(url=box.url, timeout=0.5))
    yield provider
    await provider.close()


@pytest.fixture
async def browser(box):
    """Somebody who looks at its pages, or sends forms by hand."""
    async with httpx.AsyncClient(base_url=box.url.removesuffix("/api/fax"), trust_env=False) as browser:
        yield browser


async def commit():
    """Nothing to write down."""


async def outcome(provider, document, number, name="1.pdf"):
    """The verdict's name, or "taken"."""
    try:
        await provider.submit(LINE, number, document, name, commit)
    except Verdict as verdict:
        return type(verdict).__name__
    return "taken"


def later(fax, seconds):
    """The fax's status when it is so old."""
    fax.taken_at -= seconds
    word = fax.status
    fax.taken_at += seconds
    return word


# -- the numbers

TAKEN = {number for number, scenario in SCENARIOS.items() if scenario.takes and scenario.shape is Shape.JSON}
REFUSALS = {
    "4165550130": ["LineHeld", "LineHeld", "taken"],
    "4165550131": ["LineHeld", "LineHeld", "taken"],
    "4165550132": ["LineHeld"] * 4,
    "4165550140": ["Temporary", "Temporary", "taken"],
    "4165550141": ["Temporary", "Temporary", "taken"],
    "4165550150": ["Permanent"] * 3,
    "4165550151": ["Permanent"] * 3,
    "4165550160": ["Unclear"] * 3,
    "4165550161": ["Unclear"] * 3,
    "4165550170": ["Unclear"],
    "4165550171": ["Unclear"],
    "4165550172": ["Unclear"],
    "4165550173": ["Unclear"],
    "4165550174": ["Unclear"],
    "4165550180": ["Unclear"],  # for one with less patience than its 10 s
}


def test_every_number_is_tried_here():
    """No line of the table is left to hope."""
    assert TAKEN | set(REFUSALS) == set(SCENARIOS)


def test_every_number_passes_the_default_number_policy():
    """Nobody has to open numbers to try the sandbox."""
    policy = Policy(Settings())
    for number in SCENARIOS:
        assert address.parse(number).number == number
        assert policy.recipient(f"{number}@fax.local").recipient.number == number


@pytest.mark.parametrize(("number", "outcomes"), REFUSALS.items())
async def test_what_a_number_answers(box, provider, impatient, document, number, outcomes):
    """Try by try, each fax for itself; a fax that was taken, whatever the answer, is in the record."""
    if SCENARIOS[number].pause or SCENARIOS[number].shape is Shape.HANG:
        provider = impatient
    assert [await outcome(provider, document, number) for _ in outcomes] == outcomes
    if "taken" in outcomes:
        assert await outcome(provider, document, number, "another.pdf") == outcomes[0]
    shape = SCENARIOS[number].shape
    took = outcomes.count("taken") + (shape is not Shape.JSON or number == "4165550180")
    assert len(box.faxes) == took


@pytest.mark.parametrize("number", sorted(TAKEN - {"4165550180"}))
async def test_what_a_number_says_while_the_fax_grows_older(box, provider, document, number):
    """The words of the table at their times."""
    assert await outcome(provider, document, number) == "taken"
    (fax,) = box.faxes
    for since, word in SCENARIOS[number].words:
        assert later(fax, since + 0.01) == word


async def test_any_other_number_goes_through_every_stage(box, provider, document):
    """And is a success within three seconds."""
    ref = await provider.submit(LINE, ANY, document, "1.pdf", commit)
    (fax,) = box.faxes
    stages = ["Loading", "Converting", "Pending", "Sending", "Success"]
    assert [later(fax, seconds) for seconds in (0, 0.6, 1.1, 1.6, 3)] == stages
    assert (await provider.status(LINE, ref)).word == "Loading"
    assert fax.polls == 1


def test_each_line_of_the_table_can_be_printed():
    """The help shows them as they are: one line each, none twice."""
    lines = [scenario.what for scenario in SCENARIOS.values()]
    assert len(set(lines)) == len(lines)
    assert all(line and "\n" not in line and len(line) < 80 for line in [*lines, DEFAULT.what])


# -- strict forms

BOUNDARY = "b0undary"


def written(**change):
    """The form as documented, with a change."""
    fields = dict.fromkeys(form.ORDER, "") | {"token": "t", "number": ANY, "sendCover": "N", "file": "%PDF-1.7"}
    fields |= change
    out = io.StringIO()
    for name, value in fields.items():
        if value is not None:
            file = '; filename="x.pdf"\r\nContent-Type: application/pdf' if name == "file" else ""
            out.write(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n{value}\r\n')
    return out.getvalue().encode() + f"--{BOUNDARY}--\r\n".encode()


WRONG = {
    "no token": (written(token=None), "the fields are number, file"),
    "no cover fields": (written(coverTo=None), "the fields are token, number, file, sendCover, coverFrom, coverS"),
    "one field more": (written(extra="x"), "coverMessage, extra, not token"),
    "token last": (written().replace(b'"token"', b'"x"').replace(b'"coverMessage"', b'"token"'), "the fields are x"),
    "nine digits": (written(number=ANY[:9]), "the number is not ten digits"),
    "eleven digits": (written(number="1" + ANY), "the number is not ten digits"),
    "other digits": (written(number="٦٤٧٤٩٥٩٦٥٩"), "the number is not ten digits"),
    "a word": (written(file="PK\x03\x04"), "the file is not a PDF"),
    "no file": (written(file=""), "the file is not a PDF"),
    "no name": (written().replace(b"x.pdf", b""), "the file has no name"),
    "a cover": (written(sendCover="Y"), "sendCover is not N"),
    "a cover text": (written(coverTo="Ann", coverSubject="Hi"), "coverTo, coverSubject should be empty"),
    "no end": (written()[:-15], "part 8 of the form cannot be read"),
    "half an end": (written()[:-4], "the form does not end with its closing boundary"),
    "something behind it": (written() + b"more", "the form does not end with its closing boundary"),
    "empty": (b"", "cannot mmap an empty file"),
    "no parts": (b"token=t&number=1", "the form does not end with its closing boundary"),
    "no headers": (f"--{BOUNDARY}\r\nnothing".encode(), "part 1 of the form cannot be read"),
}


@pytest.mark.parametrize(("content", "why"), WRONG.values(), ids=WRONG)
async def test_a_form_that_is_not_as_documented_is_refused(box, browser, content, why):
    """With error_code 400 in a 200, as the vendor does it, and a text that says where."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = await browser.post("/api/fax/send", content=content, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["error_code"] == 400
    assert why in answer.json()["message"]
    assert why in box.refused[-1]
    assert not box.faxes


async def test_the_form_as_documented_is_taken_from_any_client(box, browser):
    """Written by hand, or by httpx itself."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = await browser.post("/api/fax/send", content=written(), headers=headers)
    assert answer.json()["uuid"] == box.faxes[0].uuid
    fields = dict.fromkeys(form.ORDER, (None, "")) | {
        "token": (None, "t"),
        "number": (None, ANY),
        "file": ("é.pdf", b"%PDF-1.4", "application/pdf"),
        "sendCover": (None, "N"),
    }
    answer = await browser.post("/api/fax/send", files=list(fields.items()))
    assert answer.json()["status"] == "Loading"
    assert box.faxes[1].name == "é.pdf"


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "multipart/form-data", "text/html"])
async def test_another_content_type_is_refused(browser, content_type):
    """The boundary stands nowhere else."""
    answer = await browser.post("/api/fax/send", content=written(), headers={"Content-Type": content_type})
    assert answer.json()["error_code"] == 400


async def test_a_form_that_is_too_large_is_refused(box, browser, monkeypatch):
    """While it arrives, not after."""
    monkeypatch.setattr(server, "LARGEST", 100_000)
    answer = await browser.post("/api/fax/send", content=b"x" * 1_000_000)
    assert "larger than 100000 bytes" in answer.json()["message"]


async def test_tokens_are_checked_if_some_are_given(document):
    """Error 401 in a 200, for sending and for asking; a right one goes through."""
    async with server.serve("127.0.0.1:0", tokens=frozenset({"right"})) as box:
        provider = Rinble(Provider(url=box.url, timeout=5.0))
        assert await outcome(provider, document, ANY) == "LineHeld"
        right = Line("", "right")
        ref = await provider.submit(right, ANY, document, "1.pdf", commit)
        assert await provider.status(right, ref)
        with pytest.raises(Verdict, match="401"):
            await provider.status(LINE, ref)
        assert len(box.faxes) == 1
        await provider.close()


# -- to look at


async def test_people_can_look_at_what_was_received(box, provider, browser, document):
    """A page, the same as JSON, and the document itself, with the pages' sizes; nothing of a sender's is markup."""
    await provider.submit(LINE, ANY, document, "<b>x</b>.pdf", commit)
    (fax,) = box.faxes
    page = (await browser.get("/")).text
    assert ANY in page
    assert "&lt;b&gt;x&lt;/b&gt;.pdf" in page
    assert "<b>" not in page
    assert all(number in page for number in SCENARIOS)
    (shown,) = (await browser.get("/faxes")).json()
    assert shown["pages"] == ["letter", "595 x 842"]
    assert shown["sha256"] == fax.sha256
    assert (await browser.get(f"/faxes/{fax.uuid}.pdf")).content == document.read_bytes()
    assert (await browser.get("/faxes/none.pdf")).status_code == 404
    assert LINE.token not in page


async def test_a_document_that_cannot_be_read_is_shown_as_such(browser):
    """It starts like a PDF, and is none."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    await browser.post("/api/fax/send", content=written(), headers=headers)
    assert (await browser.get("/faxes")).json()[0]["pages"] == ["unreadable: PdfError"]


async def test_an_unknown_fax_has_no_status(browser):
    """As the vendor says not found: error_code 404 in a 200."""
    assert (await browser.get("/api/fax/status?token=t&uuid=none")).json()["error_code"] == 404


# -- bounds


async def test_old_faxes_and_documents_are_forgotten(box, provider, document, monkeypatch):
    """Memory and disk stay bounded."""
    monkeypatch.setattr(server, "FAXES", 5)
    monkeypatch.setattr(server, "DOCUMENTS", 3)
    for n in range(8):
        await provider.submit(LINE, ANY, document, f"{n}.pdf", commit)
        await outcome(provider, document, "4165550130", f"{n}.pdf")
    assert [fax.name for fax in box.faxes] == [f"{n}.pdf" for n in range(3, 8)]
    assert [fax.name for fax in box.faxes if fax.document] == ["5.pdf", "6.pdf", "7.pdf"]
    assert len(list(box.folder.iterdir())) == 3
    assert len(box._tries) == 5


async def test_instant_takes_hundreds_and_keeps_no_document(document):
    """For load tests: magic numbers mean nothing, each is a success at once."""
    async with server.serve("127.0.0.1:0", instant=True) as box:
        provider = Rinble(Provider(url=box.url, timeout=30.0))
        for _ in range(30):
            sent = (provider.submit(LINE, "4165550150", document, "1.pdf", commit) for _ in range(8))
            refs = await asyncio.gather(*sent)
        assert (await provider.status(LINE, refs[0])).word == "Success"
        assert len(box.faxes) == 240
        assert not list(box.folder.iterdir())
        await provider.close()


async def test_it_ends_though_somebody_hangs(document):
    """A client that waits for the answer that never comes does not keep the sandbox from ending."""
    async with server.serve("127.0.0.1:0") as box:
        provider = Rinble(Provider(url=box.url, timeout=30.0))
        waiting = asyncio.create_task(provider.submit(LINE, "4165550171", document, "1.pdf", commit))
        await box.received(1)
        folder = box.folder
    with pytest.raises(Verdict):
        await waiting
    await provider.close()
    assert not folder.exists()


async def test_signals_stay_with_whoever_runs_it():
    """In the demo they end the bridge."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with server.serve("127.0.0.1:0"):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_an_address_in_use_is_an_error(box):
    """Said at once, by the system's own exception."""
    with pytest.raises(OSError, match="in use"):
        async with server.serve(box.url.split("/")[2]):
            pass


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this machine has no IPv6")
async def test_it_listens_on_ipv6(document):
    """And its url can be used as it is."""
    async with server.serve("[::1]:0") as box:
        provider = Rinble(Provider(url=box.url, timeout=5.0))
        assert await outcome(provider, document, ANY) == "taken"
        await provider.check(LINE)
        await provider.close()
