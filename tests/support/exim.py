"""Debian's Exim with the recipe of docs/relays.md. Everybody's `exim`."""

import os
from collections.abc import Iterator

import pytest

from tests.support.ports import free_port
from tests.support.postfix import Relay
from tests.support.recipes import adapted
from tests.support.unpacked import running, unpacked, with_users

PACKAGES = ["exim4-daemon-light", "libgnutls-dane0", "libidn12", "libnsl2", "libunbound8"]

CONFIG = """
primary_hostname = relay.office.example
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/exim.pid
daemon_smtp_ports = {port} : {verifying_port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment = LD_LIBRARY_PATH
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny !condition = ${{if eq {{$received_port}}{{{port}}}}}
       !verify = recipient/callout=5s,defer_ok
  accept hosts = 127.0.0.1
data:
  deny senders = :
       !verify = header_sender/callout=5s
  accept
begin routers
{router}
home:
  driver = manualroute
  domains = office.example
  transport = fax_smtp
  route_list = * 127.0.0.1::{home_port} byname
  self = send
begin transports
{transport}
begin retry
* * F,1h,1s
"""


def recipe(fax_port: int) -> list[str]:
    """Router and transport as the page has them, with the addresses of a test."""
    changes = {"fax.office.example": "fax.local", "10.1.2.4::2525": f"127.0.0.1::{fax_port}"}
    return adapted(r"```\n# /etc/exim4/conf\.d/[^\n]*\n(.*?)```", changes, 2)


@pytest.fixture(scope="session")
def exim() -> Iterator[Relay]:
    """The relay; skipped where it cannot be had or started."""
    with unpacked(PACKAGES) as (folder, root):
        relay = Relay(folder, *(free_port() for _ in range(4)))
        program = root / "usr/sbin/exim4"
        (folder / "spool").mkdir()
        os.chown(folder / "spool", 64321, 64321)
        router, transport = recipe(relay.fax_port)
        values = {**vars(relay), "program": program, "router": router, "transport": transport}
        (folder / "exim.conf").write_text(CONFIG.format(**values))
        script = f"{program} -C {folder}/exim.conf -bdf -q1s"
        with running(folder, root, script, relay.port, with_users(folder, "Debian-exim")):
            yield relay
