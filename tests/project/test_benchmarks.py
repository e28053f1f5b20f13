"""The benchmarks: each program starts, runs a tiny round and prints its table. No figure is judged here."""

import io
import os
import random
import subprocess
import sys
from email import message_from_bytes

import pikepdf
import pytest

from benchmarks import mails, peers, polling
from mail2fax.config import Poll

TINY = {
    "accept": ["--size", "10000", "--connections", "2", "--rounds", "1", "--seconds", "0.2"],
    "way_in": ["--count", "60", "--rounds", "1"],
    "pipeline": ["--size", "10000", "--count", "10"],
    "memory": ["--mails", "2", "--size", "300000", "--faxes", "200", "--seconds", "0.2"],
    "polling": ["--count", "20"],
    "idle": ["--seconds", "0.5", "--starts", "2"],
}


def run(program: str, *words: str) -> str:
    """What it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{program}", *words], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("program", TINY)
def test_every_program_prints_its_table(program):
    """It starts its servers, measures something, and leaves nobody behind."""
    out = run(program, *TINY[program])
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) > 2


@pytest.mark.slow
def test_nodes_share_a_database():
    """Every node gets its share of the mails, and every mail its reply."""
    if not os.environ.get("MAIL2FAX_TEST_POSTGRES"):
        pytest.skip("no PostgreSQL: set MAIL2FAX_TEST_POSTGRES, or run the tests by `make test`")
    assert "\n| 2 " in run("scale", "--nodes", "2", "--count", "8", "--size", "10000")


def test_the_model_states_its_inputs():
    """Ten million a day: every figure says where it comes from."""
    assert "10,000,000" in run("scale", "--model")


def test_without_postfix_there_is_a_word(monkeypatch):
    """A peer that cannot be started is left out, and said to be."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert "left out" in peers.why_no_postfix()


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_a_mail_is_what_an_office_sends(size):
    """The size that was asked for within a tenth, and a PDF of one page that can be opened."""
    mail = mails.office(size)
    whole = mail.whole(1)
    assert abs(len(whole) - size) < size / 10
    (attached,) = (part for part in message_from_bytes(whole).walk() if part.get_filename())
    with pikepdf.open(io.BytesIO(attached.get_payload(decode=True))) as opened:
        assert len(opened.pages) == 1


def test_every_mail_has_bytes_of_its_own():
    """Or mail2fax would fax one of them, and answer 250 to all."""
    mail = mails.office(10_000)
    assert mail.whole(1) != mail.whole(2)
    assert len(mail.whole(1)) == len(mail.whole(2))


def test_text_has_dots_to_stuff():
    """The worst case for the reader: lines of all lengths, many begin with a dot."""
    mail = mails.prose(100_000)
    assert mail.body.count(b"\r\n..") > 500
    assert b"\n.\r\n" not in mail.body[:-5]
    assert len({len(line) for line in mail.body.split(b"\r\n")}) > 10


@pytest.mark.parametrize("pages", [1, 4, 50])
def test_news_is_late_by_a_poll_at_most(pages):
    """No fax is overlooked: the delay is never longer than [poll] longest."""
    for _, ends in polling.faxes_of(pages, 50):
        polls, late = polling.watch(polling.shipped, pages, ends, random.Random(3))
        assert 0 <= late <= Poll().longest
        assert polls >= 1
