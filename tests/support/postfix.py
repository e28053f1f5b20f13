"""A Postfix of our own, in a folder: a relay in front of the listener, as offices have it. Everybody's `postfix`."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.recipes import adapted

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = relay.office.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
alias_database =
smtputf8_enable = no
{recipe}, inline:{{ {{office.example = smtp:[127.0.0.1]:{home_port}}} }}
default_transport = error:nowhere else
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
destination_concurrency_feedback_debug = no
default_destination_concurrency_failed_cohort_limit = 0
smtp_destination_concurrency_failed_cohort_limit = 0
smtp_connection_cache_on_demand = no
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{verifying_port} inet n - n - - smtpd
  -o smtpd_recipient_restrictions=reject_unverified_recipient,permit_mynetworks,reject
  -o unverified_recipient_reject_code=550
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def recipe(fax_port: int) -> str:
    """The one line of docs/relays.md, with the addresses of a test."""
    changes = {"fax.office.example": "fax.local", "[10.1.2.4]:2525": f"[127.0.0.1]:{fax_port}"}
    return adapted(r"^(transport_maps = [^\n]*)$", changes)[0]


@dataclass(frozen=True)
class Relay:
    """A running mail server: it listens on `port`, and hands on to the two others."""

    folder: Path
    port: int
    fax_port: int  # where mail for fax.local goes
    home_port: int  # where mail for office.example goes
    verifying_port: int  # as `port`, with recipients verified; 0 when it cannot do that

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture(scope="session")
def postfix() -> Iterator[Relay]:
    """The relay; skipped where Postfix is absent, or we may not start it."""
    if not shutil.which("postfix") or os.geteuid() != 0:
        pytest.skip("needs Postfix, and root to start it")
    with running() as relay:
        yield relay


@contextlib.contextmanager
def running(more: str = "") -> Iterator[Relay]:
    """A relay of one's own, as long as the context lasts; `more` is for main.cf."""
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        relay = Relay(folder, *(free_port() for _ in range(4)))
        config = folder / "etc"
        for part in (config, folder / "queue", folder / "data"):
            part.mkdir()
        shutil.chown(folder / "data", "postfix")
        values = {**vars(relay), "recipe": recipe(relay.fax_port)}
        (config / "main.cf").write_text(MAIN.format(**values) + more)
        (config / "master.cf").write_text(MASTER.format(**values))
        command = ["postfix", "-c", str(config)]
        subprocess.run([*command, "start"], check=True, capture_output=True, timeout=30)
        try:
            wait_for(relay.port)
            yield relay
        finally:
            subprocess.run([*command, "stop"], check=False, capture_output=True, timeout=30)


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the relay does not answer")
