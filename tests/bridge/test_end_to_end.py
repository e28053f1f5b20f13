"""The real programs, each in a process of its own: a mail server in front, `mail2fax serve`, `mail2fax sandbox`."""

import asyncio
import json
import re
import shutil
import smtplib
import urllib.request

import pytest

from tests.support.outbox import Outbox
from tests.support.patience import PATIENCE
from tests.support.processes import PROGRAM, ServedBy, command, environment
from tests.support.samples import mail, pdf

SENDER = "anna@office.example"


@pytest.fixture
async def sandbox():
    """`mail2fax sandbox` on a free port. Its URL."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "sandbox", "--listen", "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    try:
        first = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        yield re.search(r"http://\S+", first)[0]
    finally:
        process.terminate()
        assert await process.wait() == 0


def settings(folder, sandbox: str, relay: str, **smtp) -> dict:
    return {
        "smtp": smtp,
        "provider": {"name": "sandbox", "url": sandbox},
        "spool": {"url": f"sqlite:///{folder}/spool.db"},
        "poll": {"first": 0.2, "longest": 0.5},
        "reply": {"relay": relay, "retry_first": 0.5},
    }


def faxes(sandbox: str) -> list[dict]:
    """What the sandbox says it was given."""
    with urllib.request.urlopen(sandbox.replace("/api/fax", "/faxes"), timeout=10) as answer:
        found = json.load(answer)
    return found["faxes"] if isinstance(found, dict) else found


async def test_a_mail_relayed_by_postfix_is_faxed_and_answered_through_it(tmp_path, postfix, sandbox):
    """An office's mail server in front and for the reply: the whole way, nothing faked but the provider."""
    home = Outbox(port=postfix.home_port)
    await home.up()
    relay = f"smtp://127.0.0.1:{postfix.port}"
    try:
        async with ServedBy(
            tmp_path, settings(tmp_path, sandbox, relay, listen=[f"127.0.0.1:{postfix.fax_port}"])
        ) as node:
            await node.up()

            def send():
                with smtplib.SMTP("127.0.0.1", postfix.port) as client:
                    client.sendmail(SENDER, ["4165550100@fax.local"], mail(pdf(2), message_id="<7@office.example>"))

            await asyncio.to_thread(send)
            reply = await home.next()
            assert await node.stop() == 0
    finally:
        await home.down()
    assert reply.message["In-Reply-To"] == "<7@office.example>"
    assert "(416) 555-0100" in reply.subject
    (fax,) = await asyncio.to_thread(faxes, sandbox)
    assert fax["number"] == "4165550100"


@pytest.mark.skipif(not shutil.which("swaks"), reason="needs swaks")
async def test_a_mail_sent_with_swaks_is_faxed_and_answered(tmp_path, outbox, sandbox):
    """Another client, with an attachment of a type that says nothing; then list and show tell of it."""
    (tmp_path / "Scan 0001.PDF").write_bytes(pdf())
    async with ServedBy(tmp_path, settings(tmp_path, sandbox, outbox.url)) as node:
        await node.up()
        swaks = await asyncio.create_subprocess_exec(
            *("swaks", "--server", f"127.0.0.1:{node.port}", "--from", SENDER, "--to", "416.555.0100@fax.local"),
            *("--attach-type", "application/octet-stream", "--attach", f"@{tmp_path}/Scan 0001.PDF", "--silent", "3"),
        )
        assert await swaks.wait() == 0
        reply = await outbox.next()
        assert "(416) 555-0100" in reply.subject
        status, listed, _ = await command(node.file, "list", "--json")
        assert (status, len(listed), listed[0]["state"]) == (0, 1, "delivered")
        status, shown, _ = await command(node.file, "show", listed[0]["id"], "--json")
        assert status == 0
        assert [event["what"] for event in shown["events"]][:4] == ["received", "prepared", "submitting", "submitted"]
        assert await node.stop() == 0


async def test_files_sent_from_the_shell_take_the_same_way(tmp_path, outbox, sandbox):
    """`mail2fax send` beside a running server: faxed, answered; a barred number is refused with the reason."""
    (tmp_path / "one.pdf").write_bytes(pdf())
    async with ServedBy(tmp_path, settings(tmp_path, sandbox, outbox.url)) as node:
        await node.up()
        file = str(tmp_path / "one.pdf")
        status, sent, _ = await command(
            node.file, "send", "(416) 555-0100", file, "--sender", SENDER, "--subject", "From the shell", "--json"
        )
        assert status == 0, sent
        reply = await outbox.next()
        assert "From the shell" in reply.subject
        status, _, error = await command(node.file, "send", "900 555 0100", file, "--sender", SENDER)
        assert status == 1
        assert "900" in error


async def test_check_says_what_is_wrong_and_how_to_mend_it(tmp_path, outbox, sandbox):
    """Good settings pass; a relay that is away is named with its key; secrets are masked."""
    node = ServedBy(tmp_path, settings(tmp_path, sandbox, outbox.url) | {"smtp": {}})
    node.change("provider", token="canary-7391")
    node.file.write_text("")
    from tests.support.processes import toml

    node.file.write_text(toml(node._wanted))
    node.file.chmod(0o600)  # it holds a token
    status, printed, error = await command(node.file, "check", "--json")
    assert (status, error) == (0, ""), printed
    assert "canary-7391" not in json.dumps(printed)
    assert {finding["what"] for finding in printed["findings"]} >= {"spool", "templates", "reply relay", "provider"}
    await outbox.down()
    status, printed, _ = await command(node.file, "check")
    assert status == 1
    assert "[reply] relay" in " ".join(printed.split())
    await outbox.up()


async def test_wrong_settings_end_with_2_and_name_file_section_and_key(tmp_path):
    """Exit status 2, and the next step."""
    file = tmp_path / "wrong.toml"
    file.write_text('[provider]\ntokn = "canary-7391"\n')
    for words in (["serve"], ["list"], ["check"]):
        status, _, error = await command(file, *words)
        assert status == 2
        assert 'wrong.toml: [provider] tokn: unknown key, did you mean "token"?' in " ".join(error.split())
        assert "canary-7391" not in error


async def test_the_demo_ends_well_whatever_is_configured(tmp_path):
    """Exit 0, and the reply is shown, also where the service is set to what only its own machine has."""
    file = tmp_path / "mail2fax.toml"
    file.write_text(
        '[smtp]\ntls_certificate = "none.pem"\nusers_file = "none"\nrequire_tls = true\nallowed_senders = []\n'
        'domains = ["fax.office.example"]\n[web]\nlisten = "192.0.2.1:80"\noperate = "192.0.2.1:81"\n'
        '[documents]\nmax_pages = 1\n[numbers]\nallow = ["+1876"]\n[reply]\nlanguage = "fr"\n'
    )
    env = environment(COLUMNS="100", MAIL2FAX_CONFIG=str(tmp_path / "none.toml"))
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "demo", "--config", str(file)), stdout=asyncio.subprocess.PIPE, env=env
    )
    printed = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert process.returncode == 0, printed
    assert "The fax arrived once at (416) 555-0123" in printed
    assert "Subject: Télécopié au" in printed


async def test_the_demo_leaves_nothing_when_it_is_ended(tmp_path):
    """SIGTERM, as make passes on: the mails of others who tried it do not stay on the disk."""
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "demo"), stdout=asyncio.subprocess.PIPE, env=environment(TMPDIR=str(tmp_path))
    )
    async with asyncio.timeout(PATIENCE):
        while not list(tmp_path.glob("mail2fax-demo-*/spool.db*")):
            await asyncio.sleep(0.01)
    process.terminate()
    await asyncio.wait_for(process.communicate(), 60)
    assert list(tmp_path.glob("mail2fax-demo-*")) == []
