"""Where `init` and `check --running` meet machines that are not as usual."""

import os
import pty
import shutil
import stat
import subprocess
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mail2fax.cli import addresses, owner, running
from mail2fax.cli.setup import answers, files, in_front
from mail2fax.config import ConfigError
from tests.cli.test_setup import options, run
from tests.support.ports import free_port
from tests.support.processes import PROGRAM, environment

ANYBODY = "daemon"  # a user and a group of every Debian
ROOT = Path(__file__).parents[2]


def told(relay):
    clients = answers.clients(relay)
    people = (("*",), "f@o.example", "p@o.example")
    return answers.Answers("fax.office.example", relay, clients, *people, "sandbox", Path("/spool"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_service_can_enter_what_a_careful_root_makes(tmp_path, monkeypatch):
    """Under a umask of 077 the folder and the unit are as open as they must be, and the secrets are not."""
    monkeypatch.setattr(owner, "SERVICE", ANYBODY)
    monkeypatch.setattr(files, "STATE", tmp_path / "state")
    monkeypatch.setattr(files, "UNIT", tmp_path / "mail2fax.service")
    monkeypatch.setattr(files, "_PACKAGED", ())
    place = files.Place(tmp_path / "etc" / "mail2fax.toml", installed=True)
    before = os.umask(0o077)
    try:
        files.write(place, told("smtp://127.0.0.1:25").files | {"token": "t\n"})
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {
        "etc": 0o755,
        "mail2fax.toml": 0o640,
        "token": 0o640,
        "state": 0o700,
        "mail2fax.service": 0o644,
    }


@pytest.mark.parametrize("installed", [True, False])
def test_bad_answers_change_nothing(tmp_path, monkeypatch, installed):
    """No user, folder or file is made for settings that cannot be used, and the error names the file they were for."""
    monkeypatch.setattr(owner, "SERVICE", "m2f-nobody")
    monkeypatch.setattr(files, "STATE", tmp_path / "state")
    monkeypatch.setattr(files, "_add_user", lambda: pytest.fail("a user was made"))
    place = files.Place(tmp_path / "etc" / "mail2fax.toml", installed)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/etc/mail2fax.toml: \[reply\] time_zone"):
        files.write(place, replace(told("smtp://127.0.0.1:25"), time_zone="Nowhere/Town").files)
    assert list(tmp_path.iterdir()) == []


def test_a_mail_server_with_ipv6(monkeypatch):
    """The address that is printed is one where the service listens."""
    both = [(0, 0, 0, "", (host, 0)) for host in ("2001:db8::25", "192.0.2.25")]
    monkeypatch.setattr(answers.socket, "has_dualstack_ipv6", lambda: True)
    asked = []
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *host, **_: asked.append(host) or both)
    two = told("smtp://mail.office.example:25")
    assert [client.version for client in two.clients] == [4, 6]
    assert two.settings["smtp"]["listen"] == ["0.0.0.0:2525", "[::]:2525"]
    assert len(asked) == 1
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("::1", 0))])
    beside = told("smtp://ip6-localhost:25")
    assert beside.settings["smtp"]["listen"] == ["127.0.0.1:2525"]
    assert "smtp:[127.0.0.1]:2525" in in_front.lines(beside, "postfix")
    monkeypatch.setattr(in_front, "_here", lambda _: "2001:db8::1")
    assert "route_list = * [2001::db8::::1]::2525 byname" in in_front.lines(two, "exim")


@pytest.mark.parametrize(
    ("relay", "warned"),
    [
        ("smtp://127.0.0.1:25", False),
        ("smtp://10.1.2.3:25", False),
        ("smtp://8.8.8.8:25", True),
        ("smtp+starttls://10.1.2.3:587", True),
        ("smtp://me@10.1.2.3:25", True),
    ],
)
def test_a_server_that_others_may_send_by(relay, warned):
    said = in_front.warning(told(relay))
    assert ("docs/relays.md" in said) is warned


async def test_answers_that_cannot_be(tmp_path):
    """Words at once, and not a traceback after the last question."""
    empty, latin = tmp_path / "empty", tmp_path / "latin"
    empty.write_text("\n")
    latin.write_bytes(b"gehe\xefm\n")
    for more, said in (
        ({"user": "anna b"}, "--user: a login name has no blanks"),
        ({"user": "anna", "password-file": empty}, "--password-file"),
        ({"token-file": empty}, "--token-file"),
        ({"token-file": latin}, "not UTF-8"),
        ({"relay": "htp://127.0.0.1"}, "--relay: write it as smtp://host:25, smtps://host:465 or smtp+starttls://"),
        ({"server": "sendmail"}, "--server: write postfix, exim or other, not 'sendmail'"),
        ({"provider": "rimble"}, "--provider: write it as rinble, hylafax, sinch, telnyx, sandbox or"),
        ({"senders": "office.example"}, "--senders: write it as *, bob@office.example or *@office.example"),
        ({"admin": "kim"}, "--admin: 'kim' is not a mail address"),
    ):
        status, _, err = await run(tmp_path, "init", *options(tmp_path, **more), COLUMNS="300")
        assert (status, said in err, "Traceback" in err) == (2, True, False), err
    assert not (tmp_path / "etc").exists()


def test_what_is_typed_is_looked_at_at_once(tmp_path):
    """Whoever mistypes an answer is asked again, and not sent back to the first question by the last."""
    leader, follower = pty.openpty()
    words = ("init", "--config", str(tmp_path / "etc" / "mail2fax.toml"))
    with subprocess.Popen(
        [*PROGRAM, *words], stdin=follower, stdout=follower, stderr=follower, env=environment()
    ) as asked:
        os.close(follower)
        os.write(leader, b"no domain\nfax.office.example\nrimble\n")
        seen = b""
        while seen.count(b"Fax provider (") < 2:
            seen += os.read(leader, 4096)
        asked.kill()
    os.close(leader)
    assert seen.count(b"Domain of the fax addresses") == 2
    assert b"write it as a domain name, such as fax.office.example, not 'no domain'" in seen


async def test_the_last_line_can_be_typed_as_it_stands(tmp_path):
    relay = f"127.0.0.1:{free_port()}"  # nobody there: the check fails
    status, out, err = await run(tmp_path, "init", *options(tmp_path, relay=relay, provider="sandbox"))
    assert status == 1, out + err
    assert f"mail2fax check --config {tmp_path}/etc/mail2fax.toml;" in out


class Stranger(BaseHTTPRequestHandler):
    """Another program on the port of the status page."""

    answer = b""

    def do_GET(self):
        self.wfile.write(self.answer)

    def log_message(self, *_):
        """Nobody reads it."""


@pytest.fixture
def stranger():
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 503 Busy\r\n\r\n<html>",
        b'HTTP/1.1 503 Busy\r\n\r\n{"a": 1}',
        b"HTTP/1.1 503 Busy\r\n\r\n[]",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 99\r\n\r\n{}",
    ],
)
def test_a_stranger_on_the_port_is_told_in_words(answer, monkeypatch, stranger):
    monkeypatch.setattr(Stranger, "answer", answer)
    said = running._unready(stranger)
    assert "another program has that port" in said or "does not answer" in said


def test_the_package_starts_again_what_it_stopped(tmp_path):
    """An upgrade that was broken off leaves the service running."""
    script = (ROOT / "contrib" / "debian" / "postinst").read_text()
    for path in ("/etc/mail2fax/mail2fax.toml", "/run/systemd/system"):
        assert path in script
        (tmp_path / Path(path).name).mkdir()
        script = script.replace(path, str(tmp_path / Path(path).name))
    fake = 'systemctl() { true; }\ndeb-systemd-invoke() { echo "$@"; }\n'
    run_it = [shutil.which("bash"), "-c", fake + script, "postinst"]
    for how in ("abort-upgrade", "abort-remove"):
        done = subprocess.run([*run_it, how, "1.0"], capture_output=True, text=True, check=True)
        assert done.stdout == "start mail2fax.service\n"
