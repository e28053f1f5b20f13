"""What people met on the running program and must never meet again: nine kinds of fault, each tried from outside.

Everything goes through sockets and the command line, so that the same tests can be put to another version:
MAIL2FAX_TRIED names its program. Commit 9efc106 keeps none of them.
"""

import asyncio
import os
import re
import shlex
import smtplib
import socket
import threading
from contextlib import AsyncExitStack
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from tests.support import outbox
from tests.support.answering import SENDER, answer, brought
from tests.support.faxapi import LOST, FaxApi
from tests.support.ports import free_port
from tests.support.processes import PROGRAM, ServedBy, command, environment, toml
from tests.support.samples import mail, pdf

TRIED = tuple(shlex.split(os.environ.get("MAIL2FAX_TRIED", ""))) or PROGRAM


NUMBER = "6474959659@fax.local"


class Office:
    """A served node between a fax API and a mail server, for tests that wait for nothing but what it does."""

    def __init__(self, folder):
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.do(self._open())

    def do(self, wish):
        """What comes of a coroutine of the office's own loop."""
        return asyncio.run_coroutine_threadsafe(wish, self._loop).result(90)

    async def _open(self):
        self.faxapi = await self._stack.enter_async_context(FaxApi())
        self.box = await self._stack.enter_async_context(outbox.serving())
        self.web = free_port()
        wanted = {
            "provider": {"url": self.faxapi.url, "token": "canary-token-7391", "timeout": 5.0},
            "spool": {"url": f"sqlite:///{self.folder}/spool.db"},
            "poll": {"first": 0.1, "longest": 0.3},
            "reply": {"relay": self.box.url, "delay_notice": 1},
            "web": {"listen": f"127.0.0.1:{self.web}"},
        }
        self.node = await self._stack.enter_async_context(ServedBy(self.folder, wanted))
        await self.node.up(program=TRIED)

    def close(self):
        self.do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def say(self, recipient, content, sender=SENDER):
        """Send a mail. The code and text of the end, or of the refusal."""
        return brought(self.node.address, recipient, content, sender)

    def told(self, subject, *words, content=None, still=False):
        """Send a mail of this subject, whose fax is polled with these words. Its reply, or the "still sending" one."""
        self.faxapi.words = list(words) or ["Success"]
        assert self.say(NUMBER, content or mail(pdf(), subject=subject))[0] == 250
        return self.do(self.letter(subject, still=still))

    async def letter(self, subject, *, still=False):
        """The reply to the mail of this subject."""
        count = 0
        while True:
            for one in (mails := await self.box.wait(count, 60)):
                if one.subject.endswith(f": {subject}") and one.subject.startswith("Still") is still:
                    return one
            count = len(mails) + 1

    def rcpt(self, number):
        """What a mail server hears of this number."""
        with smtplib.SMTP(*self.node.address, timeout=30) as client:
            client.ehlo("client.example")
            client.mail(SENDER)
            code, text = client.rcpt(f"{number}@fax.local")
            return code, text.decode()

    def run(self, *words):
        """A command about the same spool."""
        return self.do(command(self.node.file, *words, program=TRIED))

    def get(self, request):
        """The answer to a bare HTTP request."""
        with socket.create_connection(("127.0.0.1", self.web), 30) as client:
            client.sendall(request)
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    opened = Office(tmp_path_factory.mktemp("office"))
    yield opened
    opened.close()


def words(letter):
    return " ".join(letter.text.split())


def with_letter(subject):
    """A Word letter and a good form."""
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = SENDER, subject
    made.set_content("Please fax both.")
    kind = "vnd.openxmlformats-officedocument.wordprocessingml.document"
    made.add_attachment(b"PK\3\4 a letter", "application", kind, filename="Letter.docx")
    made.add_attachment(pdf(), "application", "pdf", filename="Form.pdf")
    return made.as_bytes()


@pytest.mark.parametrize("ending", ["Failed", "lost"])
def test_1_politeness_faxes_nothing(office, ending):
    """Answered with thanks, nothing goes out a second time: neither after a failure nor where it may have arrived."""
    if ending == "lost":
        office.faxapi.on_post(LOST)
    letter = office.told(f"Polite {ending}", ending)
    posts = len(office.faxapi.posts)
    office.faxapi.words = ["Success"]
    for note in ("I phoned them, they have it. Thank you!", "Wrong number, sorry!\nI will look up the right one"):
        code, text = office.say(str(letter.message["Reply-To"]), answer(note))
        assert (code, "nothing was sent again" in text) == (550, True), text
    assert len(office.faxapi.posts) == posts


def test_2_a_fax_short_of_a_letter_is_not_delivered(office):
    """The good form waits for the letter that cannot be faxed, and is said to be without fault."""
    posts = len(office.faxapi.posts)
    letter = office.told("Letter and form", content=with_letter("Letter and form"))
    assert letter.subject.startswith("Not faxed to")
    assert "held back Nothing is wrong with this file." in words(letter)
    assert len(office.faxapi.posts) == posts
    assert "reports that the fax of 1 page was sent" in words(office.told("Told by the provider"))


def test_3_what_the_provider_has_is_not_said_to_wait(office):
    """It is being sent: no other attempt is announced, no cancelling offered."""
    letter = office.told("For ever", "Sending", still=True)
    assert letter.subject.startswith("Still sending: (647) 495-9659")
    assert letter.message["Reply-To"] is None and "attempt" not in words(letter)
    office.faxapi.words = ["Success"]
    assert office.do(office.letter("For ever")).subject.startswith("Faxed to")


@pytest.mark.parametrize("number", ["4362345678", "9836001234", "8009598281", "2049581234", "8089591234"])
def test_4_numbers_in_service_are_dialled(office, number):
    """New area codes, a tax office's toll-free line, and exchanges that are ordinary in their towns."""
    assert office.rcpt(number)[0] == 250


@pytest.mark.parametrize("typed", ["001-416-555-0123", "9-1-416-555-0123"])
def test_4_a_slip_is_named(office, typed):
    """Digits that are dialled before a number of this very country."""
    code, text = office.rcpt(typed)
    assert code == 550 and "leave it out and write 4165550123" in text


def test_5_no_jargon_and_the_number_first(office):
    """What a secretary reads on a phone: the number in the first 35 characters, a file by its name and kind."""
    office.faxapi.on_post(LOST)
    assert "(647) 495-9659" in office.told("Lost").subject[:35]
    letter = office.told("No jargon", content=with_letter("No jargon"))
    assert "application/" not in letter.text and "Letter.docx is a Word document" in words(letter)


def test_6_commands_do_not_fax_twice_nor_into_the_void(office, tmp_path):
    """retry twice is one fax; send makes no spool that nobody serves; --version says it."""
    fax_id = re.search(r"\.(\w+-1)@", office.told("Retried", "Failed").message["Message-ID"])[1]
    office.faxapi.words = ["Sending"]
    assert office.run("retry", fax_id)[0] == 0
    code, _, errors = office.run("retry", fax_id)
    office.faxapi.words = ["Success"]
    assert (code, "--again" in errors) == (1, True)
    (tmp_path / "lab.pdf").write_bytes(pdf())
    (tmp_path / "other.toml").write_text(toml({"spool": {"url": f"sqlite:///{tmp_path}/nobody.db"}}))
    sent = ("send", "4165550100", str(tmp_path / "lab.pdf"), "--sender", SENDER)
    assert office.do(command(tmp_path / "other.toml", *sent, program=TRIED))[0] != 0
    assert not (tmp_path / "nobody.db").exists()
    assert office.do(_version()) == 0


async def _version():
    process = await asyncio.create_subprocess_exec(*TRIED, "--version", stdout=-3, stderr=-3, env=environment())
    return await process.wait()


@pytest.mark.parametrize(
    ("smtp", "named"),
    [
        ({"listen": ["127.0.0.1:{taken}"]}, "in use"),
        ({"allowed_senders": [".*@office[.]example$"]}, "no regular expression"),
    ],
)
def test_7_check_finds_what_serve_would(office, tmp_path, smtp, named):
    """A port that somebody has, a pattern that fits nobody."""
    file = tmp_path / "wrong.toml"
    spool = {"url": f"sqlite:///{tmp_path}/spool.db"}
    wrong = toml({"provider": {"name": "sandbox"}, "spool": spool, "smtp": smtp})
    file.write_text(wrong.replace("{taken}", str(office.node.port)))
    code, printed, errors = office.do(command(file, "check", program=TRIED))
    assert code != 0
    assert named in printed + errors


def test_8_machines_are_answered(office):
    """A balancer that names no host, and an alert that needs a counter to begin at nought."""
    assert office.get(b"GET /readyz HTTP/1.0\r\n\r\n").split()[1] == "200"
    metrics = office.get(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{office.web}\r\nConnection: close\r\n\r\n".encode())
    assert 'mail2fax_faxes_ended_total{outcome="cancelled"} 0.0' in metrics


def test_9_bare_line_ends_are_taken(office):
    """What smtplib.sendmail makes of `as_bytes()`: LF alone. Only CR LF . CR LF ends a mail."""
    with socket.create_connection(office.node.address, 30) as client, client.makefile("rb") as answers:
        for said in (
            b"",
            b"EHLO c\r\n",
            b"MAIL FROM:<%b>\r\n" % SENDER.encode(),
            b"RCPT TO:<%b>\r\n" % NUMBER.encode(),
        ):
            client.sendall(said)
            while answers.readline()[3:4] == b"-":
                pass
        client.sendall(b"DATA\r\n")
        answers.readline()
        content = mail(pdf(), subject="Bare ends").replace(b"\r\n", b"\n")
        client.sendall(content + b"\n.\nMAIL FROM:<eve@office.example>\n" + b"\r\n.\r\n")
        assert answers.readline().startswith(b"250")
        client.sendall(b"QUIT\r\n")
        assert answers.readline().startswith(b"221")
    assert office.do(office.letter("Bare ends")).subject.startswith("Faxed to (647) 495-9659")
