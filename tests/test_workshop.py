"""workshop, workbench, confinement: a fresh process for each document, and nothing a document does hurts another."""

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mail2fax import confinement, workshop
from mail2fax.document import CoverSheet, Limits, Order, Task
from mail2fax.model import Fate, Permanent, Reason
from mail2fax.settings import Documents
from mail2fax.workshop import WorkerError, Workshop
from tests import pdfs

PDF = "application/pdf"
_numbers = itertools.count()


@pytest.fixture
async def shop():
    """A workshop of two workers."""
    opened = Workshop(Documents(workers=2))
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
        else:
            source.write_bytes(mail)
        return Task(source, place / "work", **how)

    return made


def one_page(text: str = "page") -> bytes:
    return pdfs.mail((pdfs.text(text), PDF, "a.pdf"))


def workbenches() -> list[psutil.Process]:
    return [process for process in psutil.Process().children() if "mail2fax.workbench" in " ".join(process.cmdline())]


def workers() -> list[psutil.Process]:
    return [worker for bench in workbenches() for worker in bench.children()]


async def until(true, seconds: float = 10.0) -> None:
    """Wait for something that other processes bring about."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def begun(task: Task) -> int:
    """Wait until a worker is in the middle of this task; the way to let it go on."""
    async with asyncio.timeout(20):
        while True:
            try:
                return os.open(task.source, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                await asyncio.sleep(0.01)


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


# -- documents are made


async def test_a_mail_becomes_a_document(shop, task):
    """What a worker makes arrives whole: the account, the file, the preview."""
    made = await shop.make(task(one_page(), preview=True))
    (fax,) = made.documents
    assert fax.file.read_bytes().startswith(b"%PDF-1.7")
    assert fax.preview.startswith(b"\x89PNG")
    assert made.parts[-1].fate is Fate.FAXED


async def test_many_at_once(shop, task):
    """More mails than workers: each is made, none is mixed up with another."""
    tasks = [task(pdfs.mail((pdfs.text(*"abc"[: n % 3 + 1]), PDF, f"{n}.pdf"))) for n in range(12)]
    made = await asyncio.gather(*map(shop.make, tasks))
    assert [one.documents[0].pages for one in made] == [n % 3 + 1 for n in range(12)]
    assert [one.parts[-1].name for one in made] == [f"{n}.pdf" for n in range(12)]


async def test_workers_are_fresh_and_ready(shop, task):
    """Workers stand ready before they are needed, and none serves twice."""
    await until(lambda: len(workers()) == 2)
    ready = {worker.pid for worker in workers()}
    await asyncio.gather(shop.make(task(one_page())), shop.make(task(one_page())))
    await until(lambda: len(workers()) == 2)
    assert not ready & {worker.pid for worker in workers()}


async def test_a_refusal_is_an_answer(shop, task):
    """A mail that cannot be faxed is no failure of the worker: its reason comes back, once."""
    made = await shop.make(task(pdfs.mail((b"%PDF-1.7 broken", PDF, "a.pdf"))))
    assert made.reason is Reason.DAMAGED


async def test_the_server_s_loop_goes_on(shop, task):
    """While documents are made, the event loop is never held up for long."""
    await shop.make(task(one_page()))
    gaps, stop = [], asyncio.Event()

    async def watch():
        while not stop.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            gaps.append(time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(shop.make(task(one_page())) for _ in range(10)))
    stop.set()
    await watcher
    assert sorted(gaps)[len(gaps) // 2] < 0.05


# -- death


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_killed_worker_is_replaced(shop, task, number):
    """A worker dies in the middle of a document: the document is made by another, and its neighbour never notices."""
    hurt, neighbour = task(), task()
    making = [asyncio.create_task(shop.make(each)) for each in (hurt, neighbour)]
    neighbour_goes_on = await begun(neighbour)
    door = await begun(hurt)
    victim = await at_work(hurt)
    victim.send_signal(number)
    await gone(victim)
    await at_work(hurt)
    finish(door, one_page("hurt"))
    finish(neighbour_goes_on, one_page("neighbour"))
    made = await asyncio.gather(*making)
    assert [one.documents[0].pages for one in made] == [1, 1]


async def test_idle_workers_may_die(shop, task):
    """Workers killed while they stood ready cost nothing but the time for new ones."""
    await until(lambda: len(workers()) == 2)
    for worker in workers():
        worker.kill()
    assert (await shop.make(task(one_page()))).documents


async def test_the_workbench_may_die(shop, task):
    """The process that makes workers is killed, with a document at work: all goes on with a new one."""
    work = task()
    making = asyncio.create_task(shop.make(work))
    door = await begun(work)
    (bench,) = workbenches()
    old = workers()
    bench.kill()
    await gone(*old)
    await at_work(work)
    finish(door, one_page())
    assert (await making).documents
    assert (await shop.make(task(one_page()))).documents
    assert [new.pid for new in workbenches()] != [bench.pid]


async def test_workers_that_are_always_killed_are_no_fault_of_the_mail(shop, task):
    """Ended from outside twice: not refused, but to be tried again later."""
    work = task()
    making = asyncio.create_task(shop.make(work))
    door = await begun(work)
    for _ in range(2):
        victim = await at_work(work)
        victim.kill()
        await gone(victim)
    with pytest.raises(WorkerError):
        await making
    os.close(door)


async def test_a_hang_ends(task):
    """A document that never gets done is given up after its time, twice; then the next one is made."""
    shop = Workshop(Documents(workers=1, wall_seconds=1.0))
    try:
        begin = time.monotonic()
        with pytest.raises(Permanent) as caught:
            await shop.make(task())
        assert caught.value.reason is Reason.TOO_COMPLEX
        assert time.monotonic() - begin < 10
        await until(lambda: len(workers()) == 1)
    finally:
        await shop.close()


async def test_who_stops_waiting_ends_the_worker(shop, task):
    """A document whose making is cancelled, as at shutdown, leaves no process behind."""
    work = task()
    making = asyncio.create_task(shop.make(work))
    door = await begun(work)
    victim = await at_work(work)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    await gone(victim)
    os.close(door)


async def test_what_a_worker_started_ends_with_it(task, tmp_path, monkeypatch):
    """An office program that hangs is ended with the worker that started it."""
    office, left = tmp_path / "bin" / "soffice", tmp_path / "pid"
    office.parent.mkdir()
    os.mkfifo(left)
    office.write_text(f"#!/bin/sh\necho $$ > {left}\nexec sleep 600\n")
    office.chmod(0o755)
    monkeypatch.setenv("PATH", f"{office.parent}{os.pathsep}{os.environ['PATH']}")
    word = b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml" + b"\0" * 100
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    shop = Workshop(Documents(workers=1))
    try:
        work = task(pdfs.mail((word, kind, "letter.docx")), convert=("office",))
        making = asyncio.create_task(shop.make(work))
        started = psutil.Process(int(await asyncio.to_thread(left.read_text)))
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        await gone(started)
    finally:
        await shop.close()


async def test_our_own_fault_is_told_with_its_place(shop, task, tmp_path):
    """A template that does not compile is nobody's document's fault: told as a failure of ours, by line and type."""
    template = tmp_path / "own.typ"
    template.write_text("#nonsense")
    with pytest.raises(WorkerError, match=r"TemplateError at typesetting\.py:\d+ _set"):
        await shop.make(task(one_page(), cover=CoverSheet("6474959659", template=str(template))))


async def test_closing_leaves_nothing(task):
    """After close there is no process and no open socket; starting takes no time, and closing unused is fine."""
    shop = Workshop(Documents(workers=2))
    await shop.start()
    await shop.make(task(one_page()))
    benches, busy = workbenches(), workers()
    await shop.close()
    assert workbenches() == []
    await gone(*benches, *busy)
    await shop.close()
    await Workshop(Documents()).close()


# -- bombs

BOMBS = {
    "deflate": lambda: pdfs.deflate_bomb(500),
    "deep page tree": lambda: pdfs.deep_tree(50_000),
    "100,000 pages": lambda: pdfs.many_pages(100_000),
    "huge page": lambda: pdfs.text("x", box=(0, 0, 1e9, 1e9)),
    "10 GB picture": lambda: pdfs.claimed_image(60_000, 60_000),
    "a page tree in a circle": lambda: pdfs.by_hand(
        [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"]
    ),
    "drawings that draw themselves": pdfs.form_recursion,
}


@pytest.mark.parametrize("kind", BOMBS)
async def test_a_bomb_ends(task, kind):
    """Each ends in bounded time with a clear answer, also for the sound PDF beside it; the next mail is made."""
    shop = Workshop(Documents(workers=1, cpu_seconds=4, wall_seconds=20.0, memory=700_000_000))
    try:
        mail = pdfs.mail((pdfs.text("sound"), PDF, "sound.pdf"), (BOMBS[kind](), PDF, "bomb.pdf"))
        begin = time.monotonic()
        made = await shop.make(task(mail))
        assert time.monotonic() - begin < 25
        names = {part.name: part for part in made.parts}
        if made.reason:
            assert made.reason is Reason.PART_REFUSED
            assert names["bomb.pdf"].reason in {Reason.TOO_COMPLEX, Reason.DAMAGED, Reason.TOO_MANY_PAGES}
            assert names["sound.pdf"].reason is Reason.PART_REFUSED
        else:
            assert kind in {"huge page", "10 GB picture", "deep page tree"}
            assert made.documents[0].size < 100_000
        assert (await shop.make(task(one_page()))).documents
    finally:
        await shop.close()


# -- what a worker cannot do


async def test_the_server_s_secrets_stay_with_the_server(task, monkeypatch):
    """No variable of the server's reaches a worker, not even by way of /proc."""
    monkeypatch.setenv("MAIL2FAX_PROVIDER__TOKEN", "the token")
    shop = Workshop(Documents(workers=1))
    await shop.start()
    try:
        await until(workers)
        for process in workbenches() + workers():
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"token" not in environment
            assert b"MAIL2FAX" not in environment
        assert not any("MAIL2FAX" in name for name in confinement.environment(os.environ))
    finally:
        await shop.close()


async def test_there_is_no_network(shop):
    """Where the kernel lets us, a worker sees no network interface that is up."""
    await until(workers)
    here = Path("/proc/self/ns/net").readlink()
    there = {Path(f"/proc/{process.pid}/ns/net").readlink() for process in workers()}
    if here in there:
        pytest.skip("this kernel or container does not allow it")
    assert len(there) == 1


async def test_limits_are_set_before_the_mail_is_read(shop, task):
    """Memory, processor time, file size, open files and core dumps are limited when the worker opens the mail."""
    work = task()
    making = asyncio.create_task(shop.make(work))
    door = await begun(work)
    worker = await at_work(work)
    soft = {
        name: worker.rlimit(getattr(psutil, f"RLIMIT_{name}"))[0] for name in ("AS", "CPU", "FSIZE", "NOFILE", "CORE")
    }
    finish(door, one_page())
    await making
    assert soft == {"AS": 1 << 30, "CPU": 20, "FSIZE": 200_000_000, "NOFILE": 64, "CORE": 0}


@pytest.mark.parametrize(
    "words",
    [
        b"no JSON\n",
        b'{"made": 7}\n',
        b'{"final": true, "made": {"documents": [{"file": "/etc/passwd", "pages": 1, "size": 1, "sha256": ""}]}}\n',
    ],
)
async def test_a_worker_is_not_believed(task, words):
    """A worker that a document has taken over can say what it likes: it is checked, and no file of others is taken."""
    ours, theirs = socket.socketpair()
    worker = workshop._Worker(None, *await asyncio.open_unix_connection(sock=ours))
    try:
        theirs.sendall(words)
        ending = await worker.do(Order(task(b""), Limits(1, 1)))
        assert (ending.made, ending.how) == (None, "babbled")
    finally:
        theirs.close()
        await worker.close()


async def test_a_worker_that_does_not_stop_talking(task):
    """An answer without end is cut off, and does not fill the server's memory."""
    ours, theirs = socket.socketpair()
    worker = workshop._Worker(None, *await asyncio.open_unix_connection(sock=ours, limit=1 << 16))

    def talk():
        try:
            while True:
                theirs.sendall(b"x" * 65536)
        except OSError:
            theirs.close()

    talking = asyncio.create_task(asyncio.to_thread(talk))
    ending = await worker.do(Order(task(b""), Limits(1, 1)))
    assert ending.how == "babbled"
    await worker.close()
    await talking


SCRIPT = """
import asyncio, sys
from pathlib import Path
from mail2fax.document import Task
from mail2fax.settings import Documents
from mail2fax.workshop import Workshop
print("main is read")
async def main():
    shop = Workshop(Documents(workers=1))
    made = await shop.make(Task(Path(sys.argv[1]), Path(sys.argv[2])))
    await shop.close()
    print(made.documents[0].pages)
asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["script", "command"])
def test_the_server_s_main_module_is_not_imported(task, tmp_path, how):
    """However the server was started, workers do not run its main module again, and nothing warns."""
    script = tmp_path / "server.py"
    script.write_text(SCRIPT)
    work = task(one_page())
    start = [str(script)] if how == "script" else ["-c", SCRIPT]
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *start, work.source, work.folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert (run.stdout, run.stderr, run.returncode) == ("main is read\n1\n", "", 0)
