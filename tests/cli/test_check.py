"""`mail2fax check` says what `serve` would stumble over, and what would be lost in silence."""

import datetime as dt
import shutil
import socket
import subprocess
import sys

import pytest
import trustme

from mail2fax.cli import certificate, check, tries
from mail2fax.config import ConfigError, Settings, loader
from mail2fax.replies import signature
from mail2fax.smtp.tls import open_context
from mail2fax.smtp.users import Users, hash_line
from mail2fax.spool import open_spool
from tests.support.ports import free_port
from tests.support.processes import command, toml


@pytest.fixture
def wanted(tmp_path, outbox, faxapi):
    """Settings with which everything is well."""
    return {
        "smtp": {"listen": [f"127.0.0.1:{free_port()}"]},
        "spool": {"url": f"sqlite:///{tmp_path}/spool.db"},
        "provider": {"url": faxapi.url, "token": "t"},
        "reply": {"relay": outbox.url, "sender": "Fax <fax@office.example>"},
    }


async def findings(wanted):
    """What is found, by what was tried."""
    return {found.what: found for found in await check.run(Settings.model_validate(wanted))}


async def test_all_is_well(wanted, outbox, tmp_path):
    """Nothing is wrong, nothing was sent, nothing was made."""
    found = await findings(wanted)
    assert all(one.good for one in found.values())
    assert found["reply relay"].said.endswith("would take a reply to fax@office.example")
    assert outbox.mails == []
    assert list(tmp_path.iterdir()) == []


async def test_ports_that_are_taken(wanted):
    """`serve` would end with an errno; `check` says whose port it is to be, and how to find who has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        found = (await findings({**wanted, "smtp": {"listen": [address]}}))["ports"]
        assert (found.good, found.said) == (False, f"[smtp] listen {address}: Address already in use")
        assert "ss -ltnp" in found.advice
        found = (await findings({**wanted, "web": {"listen": address}}))["ports"]
        assert found.said.startswith("[web] listen ")
        # The node that has it is our own.
        async with open_spool(Settings.model_validate(wanted), serving=True):
            found = (await findings({**wanted, "smtp": {"listen": [address]}}))["ports"]
        assert (found.good, found.said) == (True, f"{address} in use: a node runs")
    found = (await findings({**wanted, "web": {"listen": "192.0.2.1:8080"}}))["ports"]
    assert found.said == "[web] listen 192.0.2.1:8080: Cannot assign requested address"


async def test_a_page_for_everybody(wanted):
    """It has no login: that is worth a note."""
    found = (await findings({**wanted, "web": {"listen": f"0.0.0.0:{free_port()}"}}))["ports"]
    assert found.good
    assert "a page without a login" in found.advice
    assert not (await findings({**wanted, "web": {"listen": f"127.0.0.1:{free_port()}"}}))["ports"].advice


@pytest.mark.parametrize(("stage", "answer"), [("mail", "550 5.7.1 relay access denied"), ("rcpt", "550 5.1.1 who?")])
async def test_a_mail_server_that_takes_no_replies(wanted, outbox, stage, answer):
    """It greets like any other: every reply would be undeliverable."""
    outbox.fault(stage, answer)
    found = (await findings(wanted))["reply relay"]
    assert not found.good
    assert answer in found.said


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ("Fax <fax@fax.local>", "[reply] sender fax@fax.local is in a domain of faxes, so it is nobody's mailbox."),
        ("fax@office.example", "Nobody can write to [reply] sender fax@office.example: 127.0.0.1:"),
    ],
)
async def test_a_sender_that_nobody_can_write_to(wanted, outbox, sender, words):
    """The mail server is asked as a bounce would be, up to RCPT: a note, since replies themselves would go."""
    outbox.fault("rcpt", "250 2.1.5 the administrator")
    outbox.fault("rcpt", "550 5.1.1 no such user")
    wanted["reply"] |= {"sender": sender, "admin": "kim@office.example"}
    found = (await findings(wanted))["reply relay"]
    assert found.good
    assert found.advice.startswith(words)
    assert outbox.mails == []
    assert not [said for said in outbox.commands if said.startswith("MAIL") and not said.startswith("MAIL FROM:<>")]


async def test_a_sender_of_whom_nothing_is_known_yet(wanted, outbox):
    """Greylisting, or Postfix's own verification under way: no word against the mailbox."""
    outbox.fault("rcpt", "250 2.1.5 the administrator")
    outbox.fault("rcpt", "450 4.1.1 unverified address: try again")
    wanted["reply"] |= {"admin": "kim@office.example"}
    found = (await findings(wanted))["reply relay"]
    assert (found.good, found.advice) == (True, "")


async def test_no_sender(wanted, outbox):
    """Replies come from the postmaster of this host then, and that is who is asked for."""
    wanted["reply"]["sender"] = ""
    wanted["smtp"]["hostname"] = "mail.office.example"
    found = (await findings(wanted))["reply relay"]
    assert found.good, found.said
    assert found.said.endswith("would take a reply to postmaster@mail.office.example")
    assert found.advice == ""


async def test_replies_that_leave_the_office_in_plain(wanted, outbox, monkeypatch):
    """A public address behind smtp:// is worth a note; one inside, or TLS, is not."""
    places = {"mail.example": "1.1.1.1", "inside.example": "10.1.2.3"}
    real = socket.getaddrinfo

    def resolved(host, port, *rest, **more):
        return real(places.get(host, host), port, *rest, **more)

    monkeypatch.setattr(tries.socket, "getaddrinfo", resolved)
    advice = {
        relay: tries._readable_by_strangers(relay)
        for relay in ("smtp://mail.example", "smtp+starttls://mail.example", "smtp://inside.example:25", outbox.url)
    }
    assert advice.pop("smtp://mail.example") == (
        "Replies go to 1.1.1.1 unencrypted, over the internet: write [reply] relay as smtp+starttls://."
    )
    assert set(advice.values()) == {""}
    assert not (await findings(wanted))["reply relay"].advice


async def test_a_signature_that_nobody_can_verify(wanted, tmp_path, monkeypatch):
    """What is asked of the DNS, and a key that cannot be read."""
    monkeypatch.setattr(signature.Signer, "problem", lambda _: "no key is published there")
    wanted["reply"] |= {"dkim_selector": "fax", "dkim_key_file": str(tmp_path / "key")}
    assert "No such file" in (await findings(wanted))["signature"].said
    subprocess.run(["openssl", "genrsa", "-out", tmp_path / "key", "1024"], check=True, capture_output=True)
    found = (await findings(wanted))["signature"]
    assert found.good
    assert found.advice.startswith("fax._domainkey.office.example: no key is published there.")


async def test_the_sandbox(wanted):
    """It is called what it is, and how it is started."""
    found = (await findings({**wanted, "provider": {"name": "sandbox", "url": f"http://127.0.0.1:{free_port()}"}}))[
        "provider"
    ]
    assert (found.good, found.advice) == (False, "Start it: mail2fax sandbox")


def certified(folder, days, *names):
    """Settings with a certificate that ends in so many days."""
    made = trustme.CA().issue_cert(*names, not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days=days, hours=1))
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    return {"tls_certificate": f"{folder}/cert.pem", "tls_key": f"{folder}/key.pem", "listen": ["127.0.0.1:0"]}


@pytest.mark.parametrize(
    ("days", "names", "good", "words"),
    [
        (100, ("fax.local",), True, ""),
        (100, ("*.local",), True, ""),
        (3, ("fax.local",), True, "It ends in 3 days: renew it"),
        (100, ("mail.office.example", "b.example"), True, "It does not hold for [smtp] hostname fax.local"),
        (-1, ("fax.local",), False, "Renew it"),
    ],
)
async def test_certificates(wanted, tmp_path, days, names, good, words):
    """Until when it holds, and for which names; what is over is wrong, what soon is gets a note."""
    found = (await findings({**wanted, "smtp": certified(tmp_path, days, *names)}))["certificate"]
    assert found.good == good
    assert words in found.advice
    assert bool(words) == bool(found.advice)
    if good:
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days, hours=1)
        assert found.said == f"{tmp_path}/cert.pem for {', '.join(names)}, until {until:%Y-%m-%d}"


async def test_keys(wanted, tmp_path):
    """A key that is missing, or another's, is told with the file's name."""
    smtp = certified(tmp_path, 100, "fax.local")
    context = open_context(Settings.model_validate({"smtp": smtp}).smtp)
    assert certificate.described(context, smtp["tls_certificate"]).names == ("fax.local",)
    trustme.CA().issue_cert("b.example").private_key_pem.write_to_path(tmp_path / "key.pem")
    found = (await findings({**wanted, "smtp": smtp}))["certificate"]
    assert found.said == f"[smtp] tls_key: {tmp_path}/key.pem: the key belongs to another certificate"
    (tmp_path / "key.pem").unlink()
    found = (await findings({**wanted, "smtp": smtp}))["files"]
    assert found.said == f"[smtp] tls_key: cannot read {tmp_path}/key.pem: No such file or directory"


async def test_as_root_it_is_tried_as_the_owner_of_the_spool(wanted, stranger):
    """What root may read and the service may not is found by name."""
    secret, home = stranger.folder / "token", stranger.home
    secret.write_text("t")
    secret.chmod(0o600)
    wanted["spool"]["url"] = f"sqlite:///{home}/spool.db"
    wanted["provider"] = {"url": wanted["provider"]["url"], "token_file": str(secret)}
    file = stranger.folder / "mail2fax.toml"
    file.write_text(toml(wanted))
    how = {"program": stranger.program, **stranger.env}
    code, _, errors = await command(file, "check", **how)
    assert code == 2
    assert f"[provider] token_file: cannot read {secret}: Permission denied; chgrp" in errors
    secret.chmod(0o644)
    code, printed, errors = await command(file, "check", "--json", **how)
    assert code == 0, errors
    assert printed["findings"][0]["said"] == "checked as nobody, whose spool it is"
    shutil.chown(home, "root", "root")
    (home / "spool.db").touch()
    shutil.chown(home / "spool.db", stranger.uid, stranger.uid)
    code, printed, _ = await command(file, "check", "--json", **how)
    said = {found["what"]: found["said"] for found in printed["findings"]}
    assert (code, said["spool"]) == (1, f"{home}/spool.db: cannot write in {home}: Permission denied")


async def test_postgresql_without_its_driver(tmp_path):
    """One line that says what to install, with the status of wrong settings."""
    file = tmp_path / "mail2fax.toml"
    file.write_text('[spool]\nurl = "postgresql://fax@127.0.0.1/fax"\n')
    hidden = tmp_path / "psycopg.py"
    hidden.write_text("raise ModuleNotFoundError('psycopg')")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom mail2fax.__main__ import main; main()"
    for word in ("check", "list"):
        code, _, errors = await command(file, word, program=(sys.executable, "-c", program))
        assert code == 2
        assert "[spool] url: PostgreSQL needs its driver, install it beside mail2fax: pip install" in errors
        assert len(errors.splitlines()) == 1


def test_files_that_windows_wrote(tmp_path):
    """A byte order mark in front is no part of a token or of a name; two lines are no token."""
    token, users = tmp_path / "token", tmp_path / "users"
    token.write_bytes(b"\xef\xbb\xbfsecret\r\n")
    users.write_bytes(b"\xef\xbb\xbf" + hash_line("bob", "pw").encode() + b"\r\n")
    file = tmp_path / "mail2fax.toml"
    file.write_text(f'[provider]\ntoken_file = "token"\n[smtp]\nusers_file = "{users}"\n')
    assert loader.load(file, {}).provider.token.get_secret_value() == "secret"
    assert Users(str(users)).named("bob")
    token.write_bytes(b"secret\nanother\n")
    with pytest.raises(ConfigError, match=f"token_file: {token} holds more than one line"):
        loader.load(file, {})


@pytest.mark.parametrize("pattern", [".*@office.example", "*@office[.]example", "bob@a.example$", r"bob@a\.example"])
def test_regular_expressions_are_told(pattern):
    """They would fit nobody, in silence."""
    with pytest.raises(ValueError, match="is no regular expression"):
        Settings.model_validate({"smtp": {"allowed_senders": [pattern]}})


@pytest.mark.parametrize("pattern", ["bob@[192.0.2.1]", "*@[IPv6:2001:db8::1]", "first.*@office.example", "*"])
def test_odd_patterns_that_are_none(pattern):
    """What an address may hold a pattern may."""
    assert Settings.model_validate({"smtp": {"allowed_senders": [pattern]}}).smtp.allowed_senders == [pattern]


def test_replies_come_from_no_number():
    """People answer them, and their questions would be faxed."""
    for sender in ("4165550123@fax.local", "Fax <FAX=+1-416-555-0123@fax.local>"):
        with pytest.raises(ValueError, match="people's answers would be faxed"):
            Settings.model_validate({"reply": {"sender": sender}})
