"""What goes wrong on a line, over a real one: mail, bridge, HylaFAX, T.30; how each fax ends, and whether any goes twice.

    python -m benchmarks.line.trials                 every trial, then the dialogue broken at many bytes: some 15 minutes
    python -m benchmarks.line.trials --only busy     one of them

Debian 12, as root, as benchmarks.line; it needs no OCR. What must come out is said with each trial; it ends with 1 if
anything else did.
"""

import argparse
import asyncio
import contextlib
import smtplib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from benchmarks.line import broken
from benchmarks.line.telephone import NoLineError, Telephone
from benchmarks.table import machine, show
from mail2fax import log, node
from mail2fax.cli import stop
from mail2fax.config import Settings
from mail2fax.model import FINAL, Cause, Fax, State
from mail2fax.node import Node
from mail2fax.providers import hfaxd
from mail2fax.spool import questions
from tests.support.samples import mail, pdf

REST = 12.0  # seconds after a call, until the other modem takes the next
_LOOK = 0.5


@dataclass(frozen=True)
class Trial:
    """One fax, what is done to it meanwhile, and how it must end."""

    number: str
    state: State
    cause: Cause | None = None
    pages: int = 1
    sent: tuple[int, ...] = (0,)  # how many pages may be told to have gone
    calls: int | None = 1
    arrives: tuple[int, ...] = (0,)  # how many faxes may be found at the far end
    once: bool = True  # one call only
    deadline: float = 600.0  # seconds until the bridge asks no more: a soft modem takes three minutes to see a cut
    meanwhile: "Callable[[Telephone, Node, Fax], Awaitable[None]] | None" = None


async def _hfaxd_restarted(line: Telephone, _bridge: Node, fax: Fax) -> None:
    """While pages go."""
    await _job(line, fax, "ACTIVE")
    line.stop_hfaxd()
    await asyncio.sleep(8)
    line.start_hfaxd()


async def _stopped(line: Telephone, bridge: Node, fax: Fax) -> None:
    """By `mail2fax cancel`, while pages go."""
    await _job(line, fax, "ACTIVE")
    await asyncio.sleep(10)
    await stop.ask(bridge.spool, fax, "trial")


async def _swept(line: Telephone, _bridge: Node, fax: Fax) -> None:
    """HylaFAX's housekeeping deletes the job before anybody asks how it ended: hfaxd is away until then."""
    await _job(line, fax, "ACTIVE")
    line.stop_hfaxd()
    job = fax.provider_ref.partition(":")[0]
    done = line.spool / "doneq" / f"q{job}"
    while not done.exists():
        await asyncio.sleep(_LOOK)
    done.unlink()
    line.start_hfaxd()


THROUGH = "4165550102"
TRIALS = {
    "delivered": Trial(THROUGH, State.DELIVERED, pages=2, sent=(2,), arrives=(1,)),
    "busy, called twice": Trial("4165550190", State.FAILED, Cause.BUSY, calls=2, once=False),
    "nobody answers": Trial("4165550191", State.FAILED, Cause.NO_ANSWER),
    "a voice answers": Trial("4165550192", State.FAILED, Cause.NO_FAX),
    "not in service": Trial("4165550193", State.FAILED, Cause.LINE_TROUBLE),
    "cut before a page": Trial("4165550161", State.FAILED, Cause.LINE_TROUBLE, pages=5, arrives=(0, 1)),
    "cut in the middle": Trial("4165550163", State.FAILED, Cause.HUNG_UP, pages=5, sent=(1, 2, 3, 4), arrives=(1,)),
    "hfaxd restarted midway": Trial(
        THROUGH, State.DELIVERED, pages=3, sent=(3,), arrives=(1,), meanwhile=_hfaxd_restarted
    ),
    "cancelled midway": Trial(
        THROUGH, State.CANCELLED, Cause.CANCELLED, pages=5, sent=(0, 1, 2, 3, 4), arrives=(0, 1), meanwhile=_stopped
    ),
    "swept before the look": Trial(
        THROUGH, State.UNKNOWN, sent=(), calls=None, arrives=(1,), deadline=40.0, meanwhile=_swept
    ),
}


@contextlib.asynccontextmanager
async def bridge(line: Telephone, folder: str, deadline: float) -> AsyncIterator[Node]:
    """A bridge before the line. Mails of "twice" are called twice, all others once."""
    url = f"hylafax://mail2fax@127.0.0.1:{line.port}"
    once = {"dials": 1, "tries": 1}
    settings = Settings.model_validate(
        {
            "smtp": {"listen": ["127.0.0.1:0"]},
            "provider": {"name": "hylafax", "url": url, "timeout": 20.0, "options": once},
            "line": [{"name": "twice", "senders": ["twice@*"], "options": {"dials": 2, "tries": 1}}],
            "spool": {"url": f"sqlite:///{folder}/spool.db"},
            "poll": {"first": 2.0, "longest": 3.0, "deadline": deadline},
            "reply": {"relay": "smtp://127.0.0.1:9"},
        }
    )
    async with node.running(settings) as running:
        yield running


async def tried(line: Telephone, running: Node, trial: Trial) -> tuple[Fax, list[str]]:
    """Do one trial. The fax at its end, and what is not as it must be."""
    before = set(line.received())
    sender = f"{'once' if trial.once else 'twice'}@office.example"
    queue_id = await asyncio.to_thread(_mailed, running.addresses[0], sender, trial)
    fax = await _until(running, queue_id, {State.SUBMITTED, *FINAL}, 30)
    if trial.meanwhile:
        await trial.meanwhile(line, running, fax)
    fax = await _until(running, queue_id, FINAL, 600)
    await asyncio.sleep(REST)
    return fax, _wrong(trial, fax, [_pages(path) for path in set(line.received()) - before])


def _mailed(address: str, sender: str, trial: Trial) -> str:
    host, _, port = address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.ehlo("trial.example")
        client.mail(sender)
        client.rcpt(f"{trial.number}@fax.local")
        code, text = client.data(mail(pdf(trial.pages)))
    if code != 250:
        raise RuntimeError(text.decode())
    return text.decode().split()[-1]


async def _until(running: Node, queue_id: str, states: Collection[State], seconds: float) -> Fax:
    async with asyncio.timeout(seconds):
        while (fax := (await running.spool.read(questions.named, queue_id))[0]).state not in states:
            await asyncio.sleep(_LOOK)
    return fax


def _wrong(trial: Trial, fax: Fax, arrived: list[int]) -> list[str]:
    told = fax.detail
    wanted = {
        "state": (fax.state, (trial.state,)),
        "cause": (told.get("cause"), (trial.cause,)),
        "pages sent": (told.get("pages_sent"), trial.sent or (None,)),
        "calls": (told.get("calls"), (trial.calls,)),
        "offers": (fax.submissions, (1,)),
        "faxes at the far end": (len(arrived), trial.arrives),
    }
    wrong = [f"{name} {found}, not {good}" for name, (found, good) in wanted.items() if found not in good]
    if trial.state is State.DELIVERED and arrived != [trial.pages]:
        wrong.append(f"pages at the far end {arrived}, not {trial.pages}")
    return wrong


def _pages(path: Path) -> int:
    with Image.open(path) as picture:
        return getattr(picture, "n_frames", 1)


async def _job(line: Telephone, fax: Fax, state: str) -> None:
    """Wait until HylaFAX's job of this fax is in this state."""
    async with asyncio.timeout(60):
        while True:
            async with hfaxd.opened("127.0.0.1", line.port, "mail2fax", "") as dialogue:
                await dialogue.say(f"JOB {fax.provider_ref.partition(':')[0]}")
                if await dialogue.ask("STATE") == state:
                    return
            await asyncio.sleep(_LOOK)


async def run(only: str, step: int) -> int:
    """All of it. How many trials did not end as they must."""
    rows, faults = [], 0
    chosen = {name: trial for name, trial in TRIALS.items() if only in name}
    with tempfile.TemporaryDirectory(prefix="mail2fax-line-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        with Telephone(folder, exchange=True) as line:
            for name, trial in chosen.items():
                began = time.monotonic()
                with tempfile.TemporaryDirectory() as spool:
                    async with bridge(line, spool, trial.deadline) as running:
                        fax, wrong = await tried(line, running, trial)
                faults += bool(wrong)
                seconds = f"{time.monotonic() - began - REST:.0f}"
                rows.append([name, *_told(fax), seconds, "; ".join(wrong) or "as it must"])
                print(*rows[-1], sep=" | ", flush=True)
            if not only:
                swept = await broken.sweep(line.port, folder, dict.fromkeys(broken.WAYS, step))
                faults += swept.doubled + swept.lost + swept.unknown
                print(swept)
    title = f"Faxes over a real line, {datetime.now(UTC):%Y-%m-%d}, {machine()}"
    show(title, ["trial", "state", "cause", "HylaFAX's words", "pages", "calls", "seconds", "verdict"], rows)
    return faults


def _told(fax: Fax) -> list[str]:
    told = fax.detail
    pages = f"{told['pages_sent']} of {told.get('pages', '?')}" if "pages_sent" in told else ""
    return [fax.state, str(told.get("cause", "")), str(told.get("code", "")), pages, str(told.get("calls", ""))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="trials whose name holds this, and no broken dialogues"
    )
    parser.add_argument("--step", type=int, default=7, help="bytes between two breaks of the dialogue")
    options = parser.parse_args()
    log.configure("console", "error")
    try:
        sys.exit(bool(asyncio.run(run(options.only, options.step))))
    except NoLineError as reason:
        sys.exit(f"no fax line: {reason}")


if __name__ == "__main__":
    main()
