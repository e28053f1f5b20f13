"""From nothing to a reply: `init` writes what works, `test` sends a page by it, `check --running` says how it is."""

import asyncio
import os
import stat

from mail2fax.config import loader
from tests.support.ports import free_port
from tests.support.processes import PROGRAM, environment


async def run(folder, *words, **env):
    """One command, without a terminal. Its exit status, what it printed, its errors."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(**env),
        cwd=folder,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


def options(folder, **more):
    """What a person would say to `init`."""
    secret = folder / "secret"
    secret.write_text("s3cret-of-the-line\r\n")
    told = {"config": folder / "etc" / "mail2fax.toml", "domain": "fax.office.example", "token-file": secret} | more
    return [word for name, value in told.items() for word in (f"--{name}", str(value))]


async def test_from_init_to_a_reply(tmp_path, faxapi, outbox):
    """A few answers, a page faxed by them, its reply handed over; and a plugin that says how the service stands."""
    ports = {name: f"127.0.0.1:{free_port()}" for name in ("SMTP__LISTEN", "WEB__LISTEN", "WEB__OPERATE")}
    here = {f"MAIL2FAX_{name}": address for name, address in ports.items()}
    status, out, err = await run(
        tmp_path, "init", *options(tmp_path, url=faxapi.url, relay=outbox.url, user="ann", provider="rinble"),
        "--password-file", str(tmp_path / "secret"), **here,
    )  # fmt: skip
    config = tmp_path / "etc" / "mail2fax.toml"
    shown = out
    if status:  # a machine with much to do answers too late
        status, out, err = await run(tmp_path, "check", "--brief", "--config", str(config), **here)
    assert status == 0, out + err
    assert "transport_maps = inline:{ { fax.office.example = smtp:[127.0.0.1]:2525 } }" in shown
    assert "s3cret" not in out + err
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.parent.iterdir()} == {
        "mail2fax.toml": 0o600,
        "token": 0o600,
        "users": 0o600,
    }
    settings = loader.load(config, {})
    assert settings.provider.token.get_secret_value() == "s3cret-of-the-line"
    assert settings.smtp.allowed_senders == ["*@office.example"]

    again = await run(tmp_path, "init", *options(tmp_path))
    assert again[0] == 1
    assert "is there already" in again[2]

    assert (await run(tmp_path, "test", "4165550123", "--config", str(config)))[0] == 1  # nobody serves
    assert (await run(tmp_path, "check", "--running", "--config", str(config)))[:2] == (2, CRITICAL)
    node = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "serve", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        env=environment(MAIL2FAX_POLL__FIRST="0.2", **here),
    )
    try:
        while b"started" not in await node.stderr.readline():
            pass
        status, out, err = await run(tmp_path, "test", "416-555-0123", "--config", str(config))
        assert status == 0, out + err
        assert "Delivered to (416) 555-0123. The mail server took the reply to postmaster@office.example" in out
        status, out, err = await run(tmp_path, "check", "--running", "--config", str(config), **here)
        assert (status, out.split(" | ")[0]) == (0, "MAIL2FAX OK: 0 under way"), out + err
        assert "waiting=0 oldest=0s" in out
    finally:
        node.terminate()
        await node.wait()
    (post,) = faxapi.posts
    assert post.number == "4165550123"
    (reply,) = outbox.mails
    assert reply


CRITICAL = "MAIL2FAX CRITICAL: no `mail2fax serve` runs on this spool\n"


async def test_init_writes_nothing_by_halves(tmp_path, outbox):
    """Wrong answers are told by their option, and leave nothing behind; without a terminal none is guessed."""
    wrong = options(tmp_path, admin="not an address", provider="rinble")
    status, _, err = await run(tmp_path, "init", *wrong, COLUMNS="300")
    assert status == 2
    assert "--admin: 'not an address' is not a mail address" in err
    status, _, err = await run(tmp_path, "init", *options(tmp_path, provider="sinch"), COLUMNS="300")
    assert (status, "say --account: nobody is here to ask" in err) == (2, True), err
    for missing in ("domain", "token-file"):
        words = options(tmp_path)
        at = words.index(f"--{missing}")
        status, _, err = await run(tmp_path, "init", *words[:at], *words[at + 2 :], COLUMNS="300")
        assert (status, f"say --{missing}: nobody is here to ask" in err) == (2, True), err
    status, _, err = await run(tmp_path, "init", *options(tmp_path, relay="smtp://me:s3cret@mail.office.example"))
    assert (status, "no password here" in err, "s3cret" in err) == (2, True, False)
    assert os.listdir(tmp_path) == ["secret"]
