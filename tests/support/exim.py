"""Debian's Exim, unpacked in a folder since it cannot be installed beside Postfix, with the recipe of docs/relays.md."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.postfix import Relay, free_port, wait_for

PACKAGES = ["exim4-daemon-light", "libgnutls-dane0", "libidn12", "libnsl2", "libunbound8"]
PAGE = Path(__file__).parents[2] / "docs" / "relays.md"

CONFIG = """
primary_hostname = relay.office.example
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/spool/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment = LD_LIBRARY_PATH
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  require verify = recipient/callout=5s
  accept hosts = 127.0.0.1
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


def recipe(fax_port: int) -> tuple[str, str]:
    """Router and transport as the page has them, with the addresses of a test."""
    blocks = re.findall(r"```\n# /etc/exim4/conf\.d/[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    router, transport = blocks
    assert "fax.office.example" in router
    return router.replace("fax.office.example", "fax.local").replace(
        "10.1.2.4::2525", f"127.0.0.1::{fax_port}"
    ), transport


@pytest.fixture(scope="session")
def exim() -> Iterator[Relay]:
    """The relay; skipped where it cannot be had or started."""
    if os.geteuid() != 0 or not shutil.which("dpkg") or not shutil.which("unshare"):
        pytest.skip("needs root, dpkg and unshare to start Debian's Exim")
    with tempfile.TemporaryDirectory(prefix="exim-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        root = _unpacked(folder)
        relay = Relay(folder, free_port(), free_port(), free_port(), 0)
        process = _started(relay, root)
        try:
            wait_for(relay.port)
            yield relay
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def _unpacked(folder: Path) -> Path:
    got = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, capture_output=True, check=False, timeout=100)
    if got.returncode:
        pytest.skip(f"Debian's Exim cannot be downloaded: {got.stderr.decode()[-200:]}")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True, timeout=60)
    return folder / "root"


def _started(relay: Relay, root: Path) -> "subprocess.Popen[bytes]":
    folder, program = relay.folder, root / "usr/sbin/exim4"
    # Exim looks for its user by name; a mount namespace of its own spares the machine that user.
    for kind, line in (("passwd", "Debian-exim:x:64321:64321::/tmp:/bin/false"), ("group", "Debian-exim:x:64321:")):
        (folder / kind).write_text(Path("/etc", kind).read_text() + line + "\n")
    (folder / "spool").mkdir()
    os.chown(folder / "spool", 64321, 64321)
    router, transport = recipe(relay.fax_port)
    values = {**vars(relay), "program": program, "router": router, "transport": transport}
    (folder / "exim.conf").write_text(CONFIG.format(**values))
    script = f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/group /etc/group && exec {program} -C {folder}/exim.conf -bdf -q1s"
    libraries = str(next(root.glob("usr/lib/*-linux-gnu*")))
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
