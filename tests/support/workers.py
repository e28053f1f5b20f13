"""A pool, tasks for it, and ways to see and wait for its processes."""

import itertools
import os
from pathlib import Path

import psutil
import pytest

from mail2fax.config import Documents
from mail2fax.documents.orders import Task
from mail2fax.documents.pool import Pool
from tests.support import pdfs
from tests.support.patience import until

PDF = "application/pdf"
_numbers = itertools.count()
_doors: dict[Path, int] = {}  # pipes in place of mails, kept open so that the server can open them


@pytest.fixture
async def shop():
    """A pool of two workers."""
    opened = Pool(Documents(workers=2))
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def task(tmp_path):
    """A task for a mail, with a folder of its own."""

    def made(mail: bytes | None = None, **how) -> Task:
        place = tmp_path / str(next(_numbers))
        place.mkdir()
        (place / "work").mkdir()
        source = place / "mail"
        if mail is None:  # the worker waits in the middle of its work until somebody writes
            os.mkfifo(source)
            _doors[source] = os.open(source, os.O_RDWR)
        else:
            source.write_bytes(mail)
        return Task(source, place / "work", **how)

    return made


def one_page(text: str = "page") -> bytes:
    return pdfs.mail((pdfs.text(text), PDF, "a.pdf"))


def forkservers() -> list[psutil.Process]:
    """The processes that the server started for its documents."""
    return [child for child in psutil.Process().children() if "mail2fax.documents" in child.cmdline()]


def workers() -> list[psutil.Process]:
    return [
        child for started in forkservers() for child in started.children(recursive=True) if _name(child) == "fax-worker"
    ]


def _name(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text().strip()
    except OSError:  # it has just ended
        return ""


async def begun(task: Task) -> int:
    """Wait until a worker is in the middle of this task; the way to let it go on."""
    await at_work(task)
    return _doors.pop(task.source)


def finish(door: int, mail: bytes) -> None:
    os.write(door, mail)
    os.close(door)


async def at_work(task: Task) -> psutil.Process:
    """The worker that reads this task's mail."""
    await until(lambda: any(_reads(worker, task.source) for worker in workers()))
    return next(worker for worker in workers() if _reads(worker, task.source))


def _reads(worker: psutil.Process, source: Path) -> bool:
    """Whether the worker has this pipe open; psutil shows regular files only."""
    try:
        return any(os.path.realpath(link) == str(source.resolve()) for link in Path(f"/proc/{worker.pid}/fd").iterdir())
    except OSError:  # it has just ended
        return False


async def gone(*processes: psutil.Process) -> None:
    await until(lambda: not any(process.is_running() for process in processes))
