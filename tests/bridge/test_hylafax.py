"""The whole way over a real line: a mail, the bridge, HylaFAX, T.30, the page at the far end, and the reply."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.line import broken, telephone
from benchmarks.line.telephone import NoLineError, Telephone
from mail2fax.model import Line, State
from tests.support.patience import PATIENCE
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
    async with asyncio.timeout(PATIENCE):
        while await broken.jobs(line.port, fax.id):
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("way", "how", "step"), [("up", "close", 13), ("up", "reset", 43), ("down", "close", 41)])
async def test_the_real_hfaxd_doubles_nothing_and_leaves_no_doubt(line, tmp_path, way, how, step):
    """The dialogue is broken at so many bytes of it, until it gets through; nobody is called: each job is killed."""
    seen = await broken.sweep(line.port, tmp_path, {(way, how): step})
    assert (seen.doubled, seen.lost, seen.unknown) == (0, 0, 0), seen
    assert seen.ends["taken"] == 1
    assert seen.ends["not taken"] > 5
