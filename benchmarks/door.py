"""mail2fax's front door and spool alone, as shipped: every check on, nobody at work behind it.

    python -m benchmarks.door FOLDER

Accepted mails stay `received`, as a held queue's stay where they are: what is measured is the way to the 250. The
node (`node.running`) opens the same two objects in the same way, and adds the workers.
"""

import asyncio
import signal
import sys
from pathlib import Path

from mail2fax import collector, log
from mail2fax.config import Settings
from mail2fax.rules.policy import Policy
from mail2fax.smtp.listener import Listener
from mail2fax.spool import open_spool


async def serve(folder: Path) -> None:
    """Accept until SIGTERM. The first line on standard output is the address."""
    settings = Settings.model_validate(
        {"smtp": {"listen": ["127.0.0.1:0"]}, "spool": {"url": f"sqlite:///{folder}/spool.db"}}
    )
    log.configure(settings.log.format, settings.log.level)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with open_spool(settings, serving=True) as spool:
        listener = Listener(settings, spool, Policy(settings))
        addresses = await listener.start()
        collector.spare_the_collector()
        print(*addresses, flush=True)
        await stopping.wait()
        await listener.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
