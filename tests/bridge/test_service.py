"""What a service manager does to a node, and what it is told."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from mail2fax import systemd
from tests.support.crashsweep import settings
from tests.support.patience import PATIENCE
from tests.support.processes import PROGRAM, ServedBy


def _ignores(pid, number):
    ignored = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn"))
    return int(ignored.split()[1], 16) >> (number - 1) & 1


@pytest.mark.parametrize("seconds", [0, 0.2, 0.6, 1.2])
async def test_a_reload_during_the_start(tmp_path, faxapi, outbox, seconds):
    """`systemctl reload` at any moment of the start ends nothing, nor does one during the stop."""
    async with ServedBy(tmp_path, settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db")) as node:
        await node.launch()
        while not _ignores(node.pid, signal.SIGHUP):  # before it comes to us the interpreter itself starts
            await asyncio.sleep(0.005)
        await asyncio.sleep(seconds)  # the moments are what is tried
        node.signal(signal.SIGHUP)
        await node.event("started", timeout=60)
        node.signal(signal.SIGHUP)
        await node.event("reloaded")
        stopping = asyncio.create_task(node.stop())
        await node.event("stopping")
        node.signal(signal.SIGHUP)
        assert await stopping == 0


async def test_systemd_is_told(tmp_path, faxapi, outbox):
    """Ready when mail can be sent, alive as often as asked, stopping at the end."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30)
        async with ServedBy(tmp_path, settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db")) as node:
            await node.up(NOTIFY_SOCKET=str(path), WATCHDOG_USEC="200000")
            told = [await asyncio.to_thread(manager.recv, 100) for _ in range(4)]
            assert told == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            stopping = asyncio.create_task(node.stop())
            while (last := await asyncio.to_thread(manager.recv, 100)) == b"WATCHDOG=1":
                pass
            assert last == b"STOPPING=1"
            assert await stopping == 0


def test_nobody_listens(tmp_path):
    """Without systemd, or with one that is gone, telling it is nothing."""
    systemd.notify("READY=1", {})
    systemd.notify("READY=1", {"NOTIFY_SOCKET": f"{tmp_path}/nobody"})
    systemd.notify("READY=1", {"NOTIFY_SOCKET": "nonsense"})


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path):
    """A few words wait in its socket, by the kernel's net.unix.max_dgram_qlen; what is said then is said to nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        telling = threading.Thread(target=_tell, args=(tmp_path / "notify", 2000), daemon=True)
        telling.start()
        telling.join(PATIENCE / 4)
        assert not telling.is_alive()
        assert manager.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_reads_late_hears_of_being_ready(tmp_path):
    """systemd would end a service that it never heard of; for that word there is patience."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        _tell(tmp_path / "notify", 2000)
        ready = ("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")}, PATIENCE)
        telling = threading.Thread(target=systemd.notify, args=ready, daemon=True)
        telling.start()
        telling.join(0.1)  # it waits: nobody has read yet
        manager.settimeout(PATIENCE)
        while manager.recv(100) != b"READY=1":
            pass


def _tell(address, times):
    for _ in range(times):
        systemd.notify("WATCHDOG=1", {"NOTIFY_SOCKET": str(address)})


async def test_the_journal_has_priorities(tmp_path, faxapi, outbox):
    """Where the journal reads, each line begins with its priority, and the time is not said twice."""
    wanted = {**settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db"), "log": {"format": "console"}}
    file = tmp_path / "node.toml"
    async with ServedBy(tmp_path, wanted) as node:
        await node.launch()
        await node.kill()
    reading, writing = os.pipe()
    here = os.fstat(writing)
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        "serve",
        "--config",
        str(file),
        stderr=writing,
        env={**os.environ, "JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"},
    )
    os.close(writing)
    with os.fdopen(reading) as stream:
        lines = []
        while not lines or "started" not in lines[-1]:
            lines.append(await asyncio.to_thread(stream.readline))
        process.terminate()
        lines += (await asyncio.to_thread(stream.read)).splitlines()
    assert await process.wait() == 0
    events = [line for line in lines if "[info " in line or "[warning " in line]
    assert {line[:4] for line in events} <= {"<6>[", "<4>["}, lines
    assert len(events) >= 3
    assert any(line.startswith("<6>[info     ] started") for line in lines)


def test_the_journal_has_an_error_s_priority(tmp_path):
    """What ends a start before there are events is an error for `journalctl --priority err`, too."""
    (tmp_path / "wrong.toml").write_text("[smpt]")
    reading, writing = os.pipe()
    here = os.fstat(writing)
    own = {**os.environ, "JOURNAL_STREAM": f"{here.st_dev}:{here.st_ino}"}
    command = (*PROGRAM, "serve", "--config", str(tmp_path / "wrong.toml"))
    assert subprocess.run(command, stderr=writing, env=own, timeout=60, check=False).returncode == 2
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert [line[:13] for line in stream] == ["<3>mail2fax: "]
