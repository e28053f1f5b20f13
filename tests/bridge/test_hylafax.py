"""The whole way over a real line: a mail, the bridge, HylaFAX, T.30, the page at the far end, and the reply."""

import asyncio
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.line import telephone
from benchmarks.line.telephone import NoLineError, Telephone
from mail2fax.config import Provider
from mail2fax.model import Line, State, Temporary, Trace, Unclear
from mail2fax.providers import hfaxd
from mail2fax.providers.hylafax import HylaFax
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.samples import mail, pdf

NUMBER = "4165550102"
LINE = Line("", "")


@pytest.fixture(scope="module")
def line():
    """The line; skipped, with the reason, where the programs are not to be had."""
    if reason := telephone.missing():
        pytest.skip(reason)
    place = tempfile.mkdtemp(prefix="mail2fax-line-", dir=os.environ.get("MAIL2FAX_LINE_DIR"))
    try:
        with Telephone(Path(place)) as up:
            yield up
    except NoLineError as reason:
        pytest.skip(f"no fax line: {reason}")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_mail_is_dialled_and_the_reply_tells_pages_and_calls(line, bridge, outbox):
    """One TIFF of two letter pages arrives; the outcome knows it; the job is deleted."""
    url = f"hylafax://mail2fax@127.0.0.1:{line.port}"
    running = await bridge(provider={"name": "hylafax", "url": url, "token": "", "timeout": 20.0})
    queue_id = await running.send(mail(pdf(2)), f"{NUMBER}@fax.local")
    fax = await running.until(queue_id, State.DELIVERED, State.FAILED, State.UNKNOWN, seconds=150)
    assert fax.state is State.DELIVERED
    assert (fax.detail["pages_sent"], fax.detail["pages"], fax.detail["calls"], fax.submissions) == (2, 2, 1, 1)
    (arrived,) = line.received()
    with Image.open(arrived) as picture:
        assert picture.n_frames == 2
        assert picture.size[0] == 1728
    assert "416-555-0102" in (await outbox.next()).message["Subject"].replace(" ", "-").replace("(", "").replace(
        ")", ""
    )
    async with asyncio.timeout(20):
        while await _jobs(line.port, fax.id):
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("way", "how", "step"), [("up", "close", 13), ("up", "reset", 43), ("down", "close", 41)])
async def test_the_real_hfaxd_doubles_nothing_and_leaves_no_doubt(line, tmp_path, way, how, step):
    """The dialogue is broken at so many bytes of it, until it gets through; nobody is called: each job is killed."""
    document = tmp_path / "document.pdf"
    document.write_bytes(pdf())
    sure = HylaFax(Provider(name="hylafax", url=f"hylafax://mail2fax@127.0.0.1:{line.port}", timeout=10.0))
    after, told = 0, ""
    while told != "taken":
        tag = f"REAL{way}{how}{after}-1"
        told, ref = await _broken(line.port, document, tag, way, Fault(after=after, how=how))
        if told == "doubt":
            while (trace := await sure.find(LINE, tag, NUMBER, datetime.now(UTC), ref)) == Trace():
                pass
            told = "found" if trace.ref else "never"
        jobs = await _jobs(line.port, tag)
        assert len(jobs) == (told in {"taken", "found"}), (after, told)
        for job in jobs:
            await sure.cancel(LINE, f"{job}:{tag}")
        after += step


async def _broken(port, document, tag, way, fault):
    kept = []

    async def commit(ref=""):
        kept.append(ref)

    async with FaultProxy(port) as proxy:
        setattr(proxy, way, fault)
        to = HylaFax(Provider(name="hylafax", url=f"hylafax://mail2fax@127.0.0.1:{proxy.port}", timeout=2.0))
        try:
            await to.submit(LINE, NUMBER, document, "x.pdf", commit, tag)
        except Unclear:
            return "doubt", kept[0]
        except Temporary:
            return "not taken", ""
    return "taken", kept[0]


async def _jobs(port, tag):
    """The jobs with this tag that were submitted."""
    found = []
    async with hfaxd.opened("127.0.0.1", port, "mail2fax", "") as dialogue:
        for queue in ("sendq", "doneq"):
            for row in await dialogue.listed(queue, "%j|%a|%J"):
                job, letter, its = [*row.strip().split("|"), "", ""][:3]
                if its.strip() == tag and letter != "T":
                    found.append(job)
    return found
