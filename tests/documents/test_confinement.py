"""confinement: what bombs cost, and what a worker cannot do, not even one that a document has taken over."""

import asyncio
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from mail2fax import log
from mail2fax.config import Documents
from mail2fax.documents import pool
from mail2fax.documents.environment import environment
from mail2fax.documents.orders import Limits, Order
from mail2fax.documents.pool import Pool, WorkerError
from mail2fax.model import Reason
from tests.support import pdfs, takeover
from tests.support.patience import until
from tests.support.workers import PDF, at_work, begun, finish, one_page, workers

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
    shop = Pool(Documents(workers=1, cpu_seconds=4, wall_seconds=20.0, memory=700_000_000))
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
    shop = Pool(Documents(workers=1))
    await shop.start()
    try:
        await until(workers)
        for process in psutil.Process().children(recursive=True):
            variables = Path(f"/proc/{process.pid}/environ").read_bytes()
            assert b"token" not in variables
            assert b"MAIL2FAX" not in variables
        assert not any("MAIL2FAX" in name for name in environment(os.environ))
    finally:
        await shop.close()


HELD = {"capabilities": "False", "descriptors": "[0, 1, 2, 3]", "dumpable": "0"}
USERS = {"root": 0, "an ordinary user": 2525}


def attack(place: Path, user: int = 0, lacking: str = "") -> dict:
    """What a hostile mail reaches in a worker of this user's."""
    place.chmod(0o755)
    os.chown(place, user, user)
    python = sys.executable if user == 0 else shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin")
    if os.geteuid() or not python:
        pytest.skip("needs root, and a Python that everybody may run")
    ran = subprocess.run(
        [python, "-B", "-m", "tests.support.takeover", place, lacking],
        **{"user": user, "group": user, "extra_groups": []} if user else {},
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def reached(said: dict) -> set[str]:
    return {name for name, outcome in said["found"].items() if outcome == "reached"}


@pytest.fixture
def outside():
    """A folder that every user can come to."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("user", USERS)
def test_who_takes_over_a_worker_gets_nowhere(outside, user):
    """No file of ours, no socket, no process of others or of its own, nothing of the kernel's; whoever runs the server."""
    said = attack(outside, USERS[user])
    if not all(said["layers"].values()):
        pytest.skip(f"this kernel or container lacks a layer: {said['layers']}")
    assert reached(said) == set()
    assert said["found"].items() >= HELD.items()
    assert sum(name.startswith("trace ") for name in said["found"]) >= 5  # the server and its four others


@pytest.mark.parametrize("lacking", takeover.LAYERS)
def test_where_one_layer_is_missing_the_others_hold(outside, lacking):
    """Files, sockets and processes are kept by more than one layer, and what is missing is told."""
    said = attack(outside, USERS["an ordinary user"], lacking)
    missing = {name for name, held in said["layers"].items() if not held}
    assert missing and all(name in lacking or name.endswith(" namespace") for name in missing)
    others = {name for name in said["found"] if name[-1].isdigit()}
    assert not reached(said) & {*others, "tcp", "an abstract socket", "start a program", "mount"}
    if lacking != "landlock":
        files = {"read the token", "read the settings", "read the spool", "write the spool", "list the contents"}
        assert not reached(said) & files


@pytest.mark.parametrize("convert", [("images",), ("images", "office")])
async def test_nothing_that_a_worker_starts_outlives_it(task, tmp_path, monkeypatch, convert):
    """A grandchild in a session of its own: without LibreOffice there is none, with it it ends with its worker."""
    monkeypatch.syspath_prepend(takeover.customize(tmp_path))
    shop = Pool(Documents(workers=1))
    try:
        if not (await shop.layers())["process namespace"]:
            pytest.skip("this kernel or container does not allow it")
        work = task(takeover.mail("leave_a_child"), convert=convert)
        if "office" not in convert:
            with pytest.raises(WorkerError, match="PermissionError"):
                await shop.make(work)
            return
        await shop.make(work)
        await until(lambda: len(workers()) == 1)  # the next one; the child was of the old one's name
        count = (work.folder / "count").read_text()
        await asyncio.sleep(0.1)
        assert (work.folder / "count").read_text() == count
    finally:
        await shop.close()


async def test_what_confines_workers_is_told():
    """The log names the layers that hold here, and warns of those that do not."""
    said = []
    log.configure("console", "info", written := io.StringIO())
    with log.observed(lambda event, facts: said.append((event, facts))):
        shop = Pool(Documents(workers=1))
        layers = await shop.layers()
        await shop.close()
    (facts,) = [facts for event, facts in said if event == "workers are confined"]
    assert facts["by"].split(", ") == [name for name, held in layers.items() if held]
    (line,) = [line for line in written.getvalue().splitlines() if "workers are confined" in line]
    assert ("[warning" in line) == (facts["missing"] != "")


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
    worker = pool._Worker(None, ours, *await asyncio.open_unix_connection(sock=ours))
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
    worker = pool._Worker(None, ours, *await asyncio.open_unix_connection(sock=ours, limit=1 << 16))

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


# -- what a worker shares


def test_the_server_s_libraries_are_not_in_a_worker():
    """What a worker does not need is not copied for it: the forkserver has neither pydantic nor Pillow's other parsers."""
    listing = "import sys, mail2fax.documents.forkserver; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert not {"pydantic", "asyncio", "sqlalchemy", "PIL.AvifImagePlugin"} & set(ran.stdout.split())
