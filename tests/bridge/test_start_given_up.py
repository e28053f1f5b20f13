"""A start that fails, or is given up, leaves nothing behind: nobody listens, and no thread is at the files any more."""

import asyncio
import socket
import threading

import psutil
import pytest

from mail2fax.config import Settings
from mail2fax.spool import inbox, open_spool
from mail2fax.spool.contents.folder import FolderContents
from mail2fax.spool.database import migrations


def _listening():
    return [one.laddr for one in psutil.Process().net_connections("tcp") if one.status == psutil.CONN_LISTEN]


@pytest.mark.parametrize("page", ["", "127.0.0.1:0"], ids=["alone", "with its page"])
async def test_one_address_that_is_taken_leaves_no_other_open(bridge, outbox, faxapi, page):
    """Whoever starts it again in the same process finds the first address free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        before = _listening()
        with pytest.raises(OSError, match="Address already in use"):
            await bridge(
                smtp={"listen": ["127.0.0.1:0", f"127.0.0.1:{other.getsockname()[1]}"]},
                web={"listen": page},
            )
        assert _listening() == before


@pytest.mark.parametrize(
    ("where", "work"),
    [(migrations, "upgrade"), (inbox, "find"), (FolderContents, "sweep")],
    ids=["migrating", "looking for mails", "sweeping"],
)
async def test_no_thread_outlives_a_start_that_is_given_up(tmp_path, monkeypatch, where, work):
    """Its files may be taken away as soon as it has ended."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    real = getattr(where, work)

    def slow(*arguments):
        begun.set()
        go_on.wait(30)
        try:
            return real(*arguments)
        finally:
            done.set()

    monkeypatch.setattr(where, work, slow)
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    starting = asyncio.create_task(open_spool(settings, serving=True).__aenter__())
    await asyncio.to_thread(begun.wait, 30)
    starting.cancel()
    asyncio.get_running_loop().call_later(0.3, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert done.is_set()
