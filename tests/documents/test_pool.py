"""pool and forkserver: a fresh process for each document; whatever dies, the others go on."""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from mail2fax import log
from mail2fax.config import Documents
from mail2fax.documents.environment import environment
from mail2fax.documents.orders import CoverSheet
from mail2fax.documents.pool import Pool, WorkerError
from mail2fax.model import Fate, Permanent, Reason
from tests.support import pdfs, takeover
from tests.support.patience import PATIENCE, until
from tests.support.workers import PDF, at_work, begun, finish, forkservers, gone, one_page, workers

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
    """While documents are made, our own code never holds the event loop up for long."""
    await shop.make(task(one_page()))
    gaps, stop = [], asyncio.Event()

    async def watch():
        while not stop.is_set():
            before = time.thread_time()  # however long others keep the processor
            await asyncio.sleep(0.005)
            gaps.append(time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(shop.make(task(one_page())) for _ in range(10)))
    stop.set()
    await watcher
    assert sorted(gaps)[len(gaps) // 2] < 0.05


# -- death


async def test_a_killed_worker_is_replaced(shop, task):
    """A worker dies in the middle of a document: the document is made by another, and its neighbour never notices."""
    hurt, neighbour = task(), task()
    making = [asyncio.create_task(shop.make(each)) for each in (hurt, neighbour)]
    neighbour_goes_on = await begun(neighbour)
    door = await begun(hurt)
    victim = await at_work(hurt)
    victim.kill()
    await gone(victim)
    await at_work(hurt)
    finish(door, one_page("hurt"))
    finish(neighbour_goes_on, one_page("neighbour"))
    made = await asyncio.gather(*making)
    assert [one.documents[0].pages for one in made] == [1, 1]


@pytest.mark.parametrize(
    ("do", "order", "how"),
    [
        ("crash", {"number": signal.SIGSEGV}, {"SIGSEGV"}),
        # The first process of a namespace cannot be aborted: there the C library ends it by a fault.
        ("crash", {"number": signal.SIGABRT}, {"SIGABRT", "SIGSEGV"}),
        ("spin", {}, {"SIGXCPU"}),
    ],
)
async def test_a_worker_that_ends_by_itself_is_the_mail_s_fault(task, tmp_path, monkeypatch, do, order, how):
    """A crash in C code, and C code that does not come back, are told from a worker that somebody else ended."""
    monkeypatch.syspath_prepend(takeover.customize(tmp_path))
    shop = Pool(Documents(workers=1, cpu_seconds=1))
    said = []
    log.configure("console", "error", io.StringIO())
    try:
        with log.observed(lambda _, facts: said.append(facts.get("how"))), pytest.raises(Permanent) as caught:
            await shop.make(task(takeover.mail(do, **order)))
    finally:
        await shop.close()
    assert caught.value.reason is Reason.TOO_COMPLEX
    ends = [each for each in said if each]
    assert len(ends) == 2
    assert set(ends) <= how


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
    (bench,) = forkservers()
    old = workers()
    bench.kill()
    await gone(*old)
    await at_work(work)
    finish(door, one_page())
    assert (await making).documents
    assert (await shop.make(task(one_page()))).documents
    assert [new.pid for new in forkservers()] != [bench.pid]


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


async def test_who_only_waits_is_no_fault_of_the_mail(task):
    """A worker whose time ends though it took little of the processor is tried again, later too: the machine was busy.

    It ends all the same, twice; then the next one is made.
    """
    shop = Pool(Documents(workers=1, wall_seconds=1.0))
    try:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(WorkerError, match="out of time"):
                await shop.make(task())
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


def sleepers() -> list[psutil.Process]:
    return [process for worker in workers() for process in worker.children() if process.name() == "sleep"]


async def test_what_a_worker_started_ends_with_it(task, tmp_path, monkeypatch):
    """An office program that hangs is ended with the worker that started it."""
    office = tmp_path / "bin" / "soffice"
    office.parent.mkdir()
    office.write_text("#!/bin/sh\nexec sleep 600\n")
    office.chmod(0o755)
    monkeypatch.setenv("PATH", f"{office.parent}{os.pathsep}{os.environ['PATH']}")
    word = b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml" + b"\0" * 100
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    shop = Pool(Documents(workers=1))
    try:
        work = task(pdfs.mail((word, kind, "letter.docx")), convert=("office",))
        making = asyncio.create_task(shop.make(work))
        await until(lambda: sleepers())
        (started,) = sleepers()
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
    with pytest.raises(WorkerError, match=r"TemplateError at typeset\.py:\d+ _set"):
        await shop.make(task(one_page(), cover=CoverSheet("6474959659", template=str(template))))


async def test_closing_leaves_nothing(task):
    """After close there is no process and no open socket; starting takes no time, and closing unused is fine."""
    shop = Pool(Documents(workers=2))
    await shop.start()
    await shop.make(task(one_page()))
    benches, busy = forkservers(), workers()
    await shop.close()
    assert forkservers() == []
    await gone(*benches, *busy)
    await shop.close()
    await Pool(Documents()).close()


async def test_what_is_being_made_when_it_closes_begins_nothing_anew(task):
    """A worker that ends with its pool has no second attempt: it would be made in processes that nobody ends."""
    shop = Pool(Documents(workers=1))
    work = task()
    making = asyncio.create_task(shop.make(work))
    door = await begun(work)
    await shop.close()
    with pytest.raises(WorkerError, match="closed"):
        await making
    os.close(door)
    assert not forkservers()


@pytest.mark.parametrize("read", [0, 1])
def test_a_server_that_is_killed_leaves_no_traceback(read):
    """Its end closes with our words unread, before the forkserver is ready or later: that is the end, and no fault."""
    ours, theirs = socket.socketpair()
    command = (sys.executable, "-P", "-m", "mail2fax.documents")
    with theirs:
        forkserver = subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, env=environment(os.environ))
    with ours:
        ours.recv(read)  # the others stay unread
    _, said = forkserver.communicate(timeout=60)
    assert (forkserver.returncode, said) == (0, b"")


SCRIPT = """
import asyncio, sys
from pathlib import Path
from mail2fax import log
from mail2fax.documents.orders import Task
from mail2fax.config import Documents
from mail2fax.documents.pool import Pool
print("main is read")
log.configure("console", "error")
async def main():
    shop = Pool(Documents(workers=1))
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
