"""What the other fax machine prints: the set of pages goes as a mail through the bridge and over a real line, and is read back.

    python -m benchmarks.line                     every page, as-is and auto, in fine and in normal: some 45 minutes
    python -m benchmarks.line --ways auto         9 minutes
    python -m benchmarks.line --pages invoice form --lines 98

Words: the share of the words that an OCR reads on the original at 300 dpi which it reads on what arrived. Seconds and
bytes of each page as HylaFAX counted them. Debian 12, as root, with tesseract-ocr, ghostscript and libtiff-tools.
"""

import argparse
import asyncio
import re
import smtplib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from PIL import Image

from benchmarks.line import pages, reading
from benchmarks.line.api import TOKEN, FaxApi
from benchmarks.line.telephone import NoLineError, Telephone
from benchmarks.table import machine, show
from mail2fax import node
from mail2fax.config import Settings
from mail2fax.model import FINAL, State
from mail2fax.spool import questions

NUMBER = "4165550102"
_SENT = re.compile(r"page \d+ of \d+\S*\s+sent in (\d+):(\d+):(\d+)")
_REST = 12  # seconds after a call, until the other modem takes the next


@dataclass(frozen=True)
class Arrived:
    """One page at the far end."""

    name: str
    picture: Image.Image
    seconds: int  # on the line
    size: int  # bytes


async def fax(line: Telephone, names: Sequence[str], *, way: str, lines: int) -> list[Arrived]:
    """Send these pages as one mail and wait until they have arrived."""
    before = set(line.received())
    with tempfile.TemporaryDirectory() as folder, FaxApi(line.port, lines=lines) as api:
        settings = Settings.model_validate(
            {
                "smtp": {"listen": ["127.0.0.1:0"]},
                "provider": {"url": api.url, "token": TOKEN},
                "spool": {"url": f"sqlite:///{folder}/spool.db"},
                "poll": {"first": 2, "longest": 5},
                "documents": {"pages": way},
                "reply": {"relay": "smtp://127.0.0.1:9"},
            }
        )
        async with node.running(settings) as bridge:
            host, _, port = bridge.addresses[0].rpartition(":")
            queue_id = await asyncio.to_thread(send, host, int(port), names)
            while (found := (await bridge.spool.read(questions.named, queue_id))[0]).state not in FINAL:
                await asyncio.sleep(1)
    if found.state is not State.DELIVERED:
        message = f"the fax ended {found.state}: {found.reason} {found.detail}"
        raise RuntimeError(message)
    (new,) = set(line.received()) - before
    return arrived(line, new, names)


def send(host: str, port: int, names: Sequence[str]) -> str:
    """Mail the pages; the queue id."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "anna@office.example", f"{NUMBER}@fax.local", "The set"
    for name in names:
        mail.add_attachment(pages.page(name), "application", "pdf", filename=f"{name}.pdf")
    with smtplib.SMTP(host, port, timeout=60) as client:
        client.ehlo("client.example")
        client.mail("anna@office.example")
        client.rcpt(f"{NUMBER}@fax.local")
        return client.data(bytes(mail))[1].decode().split()[-1]


def arrived(line: Telephone, file: Path, names: Sequence[str]) -> list[Arrived]:
    """The pages of a fax, each with what it took. They must be all, and in order."""
    pictures = reading.frames(file)
    logs = sorted((line.spool / "log").glob("c*"), key=lambda log: log.stat().st_mtime)
    times = [_seconds(found) for log in logs for found in _SENT.findall(log.read_text(errors="replace"))][-len(names) :]
    if len(pictures) != len(names) or len(times) != len(names):
        message = f"{len(names)} pages were sent, {len(pictures)} arrived"
        raise RuntimeError(message)
    sizes = [picture.info["size"] for picture in pictures]
    return [Arrived(*each) for each in zip(names, pictures, times, sizes, strict=True)]


def _seconds(found: Sequence[str]) -> int:
    hours, minutes, seconds = map(int, found)
    return 3600 * hours + 60 * minutes + seconds


def tell(found: dict[tuple[str, int], list[Arrived]], names: Sequence[str]) -> None:
    """A table of all pages, and the sums."""
    originals = {name: reading.words(pages.picture(pages.page(name)), name) for name in names}
    read = {
        (key, page.name): reading.read_back(originals[page.name], reading.words(page.picture, page.name))
        for key, sent in found.items()
        for page in sent
    }
    rows = []
    for at, name in enumerate(names):
        cells = [_cell([read[key, name]], [sent[at]]) for key, sent in found.items()]
        rows.append((name, str(originals[name].total()), *cells))
    whole = [_cell([read[key, name] for name in names], sent) for key, sent in found.items()]
    rows.append(("all", str(sum(words.total() for words in originals.values())), *whole))
    heads = [f"{way}, {lines} lines" for way, lines in found]
    show("Words read back, seconds on the line, bytes", ("page", "words", *heads), rows)


def _cell(read: Sequence[tuple[int, int]], sent: Sequence[Arrived]) -> str:
    share = 100 * sum(one for one, _ in read) / max(1, sum(all_ for _, all_ in read))
    return f"{share:.1f} %, {sum(page.seconds for page in sent)} s, {sum(page.size for page in sent) / 1000:.1f} kB"


async def run(line: Telephone, options: argparse.Namespace) -> dict[tuple[str, int], list[Arrived]]:
    """Every way and resolution in turn."""
    found = {}
    for way in options.ways:
        for lines in options.lines:
            found[way, lines] = await fax(line, options.pages, way=way, lines=lines)
            for page in found[way, lines] if options.keep else ():
                options.keep.mkdir(parents=True, exist_ok=True)
                page.picture.save(options.keep / f"{page.name}-{way}-{lines}.png")
            await asyncio.sleep(_REST)
    return found


def main() -> None:
    """All of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pages", nargs="+", choices=pages.NAMES, default=list(pages.NAMES))
    options.add_argument("--ways", nargs="+", choices=("as-is", "auto", "mono"), default=["as-is", "auto"])
    options.add_argument("--lines", nargs="+", type=int, choices=(196, 98), default=[196, 98])
    options.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir(), "mail2fax-line"), help="keeps the programs"
    )
    options.add_argument("--keep", type=Path, help="a folder for what arrived, as PNG")
    wanted = options.parse_args()
    print(machine())
    try:
        with Telephone(wanted.folder) as line:
            found = asyncio.run(run(line, wanted))
    except NoLineError as reason:
        sys.exit(f"no line: {reason}")
    tell(found, wanted.pages)


if __name__ == "__main__":
    main()
