"""Debian's OpenSMTPD with the recipe of docs/relays.md. Everybody's `opensmtpd`."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support.ports import free_port
from tests.support.postfix import Relay
from tests.support.recipes import adapted
from tests.support.unpacked import running, unpacked, with_users

# It comes again after minutes only; `smtpctl schedule` is what an administrator types who does not want to wait.
SCRIPT = """
{root}/usr/sbin/smtpd -d -f {folder}/smtpd.conf &
while sleep 1; do setpriv --regid opensmtpq --clear-groups {root}/usr/sbin/smtpctl schedule all; done"""


def recipe(fax_port: int) -> str:
    """The two lines of the page, with the addresses of a test."""
    changes = {
        "10.1.2.4:2525": f"127.0.0.1:{fax_port}",
        "10.1.0.0/16": "127.0.0.0/8",
        "fax.office.example": "fax.local",
    }
    return adapted(r"## OpenSMTPD\n.*?```\n(.*?)```", changes)[0]


@pytest.fixture(scope="session")
def opensmtpd() -> Iterator[Relay]:
    """The relay; skipped where it cannot be had or started."""
    with unpacked(["opensmtpd", "libevent-2.1-7"]) as (folder, root):
        relay = Relay(folder, free_port(), free_port(), free_port(), 0)
        (folder / "smtpd.conf").write_text(
            f"listen on 127.0.0.1 port {relay.port} hostname relay.office.example\n"
            f"{recipe(relay.fax_port)}"
            f'action "office" relay host smtp://127.0.0.1:{relay.home_port}\n'
            'match from any for domain office.example action "office"\n'
        )
        for place in ("spool/smtpd", "lib/opensmtpd/empty", "run"):
            (folder / "var" / place).mkdir(parents=True)
        mounts = {
            **with_users(folder, "opensmtpd", "opensmtpq"),
            "/var/spool": folder / "var/spool",
            "/var/lib": folder / "var/lib",
            "/run": folder / "var/run",
        }
        for place in ("var/lib", "var/lib/opensmtpd", "var/spool", "var/spool/smtpd"):
            (folder / place).chmod(0o711)
        shutil.chown(folder / "var/spool/smtpd", "root")
        with running(folder, root, SCRIPT.format(root=root, folder=folder), relay.port, mounts):
            yield relay
