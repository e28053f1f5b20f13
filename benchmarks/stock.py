"""The baseline: aiosmtpd as it comes, with a row for each mail in SQLite, committed before the 250.

python -m benchmarks.stock FOLDER
"""

import asyncio
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiosmtpd.smtp import SMTP


class Keep:
    """aiosmtpd's handler: one connection, one thread, one commit a mail."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "mails.db", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE mails (id INTEGER PRIMARY KEY, sender TEXT, recipient TEXT, mail BLOB)")
        self._thread = ThreadPoolExecutor(1)

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Keep it, then promise."""
        row = (envelope.mail_from, " ".join(envelope.rcpt_tos), envelope.content)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._insert, row)
        return "250 OK"

    def _insert(self, row: tuple) -> None:
        self._database.execute("INSERT INTO mails (sender, recipient, mail) VALUES (?, ?, ?)", row)


async def serve(folder: Path) -> None:
    """Accept until SIGTERM. The first line on standard output is the address."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    keep = Keep(folder)
    server = await loop.create_server(
        lambda: SMTP(keep, data_size_limit=50_000_000, hostname="stock.example", loop=loop), "127.0.0.1", 0
    )
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
