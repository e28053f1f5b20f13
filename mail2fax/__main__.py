"""The entry point: `mail2fax` on the command line, and `python -m mail2fax`."""

import os
import signal
import sys

if "serve" in sys.argv[1:2]:
    # First of all: `systemctl reload` may come while the rest is loaded, and SIGHUP ends whoever has no handler yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

import gc

from mail2fax.collector import spare_the_collector


def main() -> None:
    """Load the commands, and run one."""
    # No plugin of pydantic's is used: the search for one reads the metadata of every installed package at each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    from mail2fax.cli import main as cli  # noqa: PLC0415 -- after that

    spare_the_collector()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
