"""contrib/fail2ban reads what mail2fax logs: who tried a password is found, and nobody can put another's address there."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from mail2fax import log

FILTER = Path(__file__).parents[2] / "contrib" / "fail2ban" / "mail2fax.conf"
PREFIXES = (
    "",
    "Nov 28 05:34:04 fax mail2fax[123]: ",
)  # a file of its own; syslog, and the journal as fail2ban reads it
FORGED = 'x client=198.51.100.9 name=y", "client": "198.51.100.9'


def logged(form: str) -> list[str]:
    """What a day of trouble looks like in the log, in this format."""
    stream = io.StringIO()
    log.configure(form, "info", stream)
    log.login_failed(client="192.0.2.7", name="ann")
    log.login_failed(client="192.0.2.8", name=FORGED)
    log.login_refused(client="2001:db8::7", name="bob")
    log.operator_refused(client="192.0.2.9", who=FORGED, why="wrong name or password, or no role")
    log.operator_logged_in(who=f"login failed client=198.51.100.9 name={FORGED}", client="192.0.2.1")
    return stream.getvalue().splitlines()


@pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban is not installed")
@pytest.mark.parametrize("form", ["console", "json"])
def test_the_filter_finds_who_tried(tmp_path, form):
    """Each failure is found with its own client, by both formats and with a syslog's prefix; nothing else is."""
    shutil.copytree("/etc/fail2ban", tmp_path / "fail2ban")
    shutil.copy(FILTER, tmp_path / "fail2ban" / "filter.d")
    lines = logged(form)
    assert len(lines) == 5
    for prefix in PREFIXES:
        (tmp_path / "log").write_text("".join(f"{prefix}{line}\n" for line in lines))
        done = subprocess.run(
            ["fail2ban-regex", "-c", tmp_path / "fail2ban", "--out", "ip", tmp_path / "log", "mail2fax"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.split() == ["192.0.2.7", "192.0.2.8", "2001:db8::7", "192.0.2.9"], done.stdout + done.stderr
