"""Real mail servers in front, each with its recipe as docs/relays.md has it."""

import asyncio
import re
import smtplib

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mail2fax.config import Settings
from mail2fax.rules.policy import Policy
from mail2fax.smtp.listener import Listener
from mail2fax.spool import open_spool
from tests.support.dkim import published, verified
from tests.support.frontdoor import NUMBER, SENDER, opened
from tests.support.outbox import Outbox
from tests.support.patience import until
from tests.support.samples import mail, pdf

MAIL = f"From: {SENDER}\r\nTo: {NUMBER}\r\nSubject: x\r\n\r\nx\r\n".encode()


@pytest.fixture(params=["postfix", "exim", "opensmtpd"])
def relay(request):
    """Each server, and the port behind which it verifies recipients; 0 for one that does not know how to."""
    server = request.getfixturevalue(request.param)
    return server, server.verifying_port


def listening(server, **chosen) -> dict:
    return {"listen": [f"127.0.0.1:{server.fax_port}"], **chosen}


def submit(port: int, *recipients: str, sender: str = SENDER, content: bytes = MAIL) -> dict:
    """Hand a mail over as often as the server says that it has to look first; the refused recipients."""
    refused: dict = {}
    for _ in range(20):
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            try:
                refused = client.sendmail(sender, recipients, content)
            except smtplib.SMTPRecipientsRefused as error:
                refused = error.recipients
        if not any(b"in progress" in text for _, text in refused.values()):
            break
    return refused


@pytest.mark.parametrize("allowed", [["*"], ["*@office.example"]])
async def test_verification_bars_no_fax(tmp_path, relay, allowed):
    """The server asks back with a sender of its own: the number decides, and a barred one is refused at once."""
    server, port = relay
    if not port:
        pytest.skip("this server asks nobody back")
    last = 1 if allowed == ["*"] else 2
    async with opened(tmp_path, listening(server, allowed_senders=allowed)) as door:
        good, barred = f"613555010{last}@fax.local", f"900555012{last}@fax.local"
        refused = await asyncio.to_thread(submit, port, good, barred)
        await until(lambda: door.shelf.mails)
        ((envelope, _),) = door.shelf.mails
    assert [one.address for one in envelope.recipients] == [good]
    ((address, (code, text)),) = refused.items()
    assert address == barred
    assert code in {450, 550}, text
    assert b"Destination not permitted" in text or b"verify" in text.lower()


async def test_one_mail_to_three_numbers(tmp_path, relay):
    """One is faxed, one refused and bounced in our words, one deferred and faxed with a later try; none twice."""
    server, _ = relay
    good, barred, later = (f"{number}@fax.local" for number in ("6135550111", "9005550112", "6135550113"))
    home = Outbox(port=server.home_port)
    await home.up()
    try:
        async with opened(tmp_path, listening(server), limits={"number_faxes_per_day": 1}) as door:
            door.shelf.today["6135550113"] = 1
            assert not await asyncio.to_thread(submit, server.port, good, barred, later)
            await until(lambda: door.shelf.mails)
            bounce = await home.next()
            door.shelf.today.clear()
            await until(lambda: len(door.shelf.mails) == 2)
            await asyncio.sleep(1.5)  # another run of its queue
            faxed = [[one.address for one in envelope.recipients] for envelope, _ in door.shelf.mails]
    finally:
        await home.down()
    assert faxed == [[good], [later]]
    # OpenSMTPD may tell its sender twice; nobody else is told anything, and nothing of the two that were faxed.
    assert {(mail.sender, mail.recipient) for mail in home.mails} == {("", SENDER)}
    assert len(home.mails) == 1 or (not server.verifying_port and len(home.mails) == 2)
    said = " ".join(bounce.content.decode().split())
    assert "Destination not permitted: (900) 555-0112" in said
    assert not {"6135550111", "6135550113"} & set(
        re.findall(r"Final-Recipient: *rfc822; *<?(\d+)", said, re.IGNORECASE)
    )


@pytest.mark.timeout(300)
async def test_forty_mails_at_the_limits_and_a_lost_250(tmp_path, relay):
    """Two connections at once, ten mails each, and a connection cut between commit and 250: each is one fax."""
    server, _ = relay
    limits = listening(server, max_connections_per_client=2, max_messages_per_connection=10)
    settings = Settings.model_validate({"smtp": limits, "spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    receipts = []
    async with open_spool(settings, serving=True) as spool:
        listener = Listener(settings, spool, Policy(settings))
        put = spool.put

        async def put_and_cut(envelope, content):
            receipts.append(await put(envelope, content))
            if len(receipts) == 1:
                for session in list(listener._context.sessions):
                    session.abort()
            return receipts[-1]

        spool.put = put_and_cut
        await listener.start()
        mails = [MAIL + str(number).encode() + b"\r\n" for number in range(40)]
        await asyncio.gather(
            *(asyncio.to_thread(submit, server.port, "6135550131@fax.local", content=mail) for mail in mails)
        )

        # Also the first again, whose 250 was lost. What is deferred comes by runs of the queue: that adds up.
        def all_faxed():
            return len({one.queue_id for one in receipts}) == 40 and receipts[0].queue_id in again(receipts)

        await until(all_faxed, 180)
        await asyncio.sleep(1)
        await listener.close()
    faxed = [receipt.queue_id for receipt in receipts if not receipt.duplicates]
    assert len(faxed) == len(set(faxed)) == 40


def again(receipts) -> list[str]:
    """What was known when it came."""
    return [receipt.queue_id for receipt in receipts if receipt.duplicates]


async def test_the_whole_way_and_back(tmp_path, relay, bridge):
    """The mail is faxed, and its reply comes home through the same server, with a signature that still holds."""
    server, _ = relay
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    )
    home = Outbox(port=server.home_port)
    await home.up()
    try:
        await bridge(
            smtp=listening(server),
            reply={
                "relay": f"smtp://127.0.0.1:{server.port}",
                "sender": "Fax <fax@office.example>",
                "dkim_key_file": str(tmp_path / "key"),
                "dkim_selector": "fax",
            },
        )
        letter = mail(pdf(), message_id="<9@office.example>", sender=SENDER)
        assert not await asyncio.to_thread(submit, server.port, "6135550141@fax.local", content=letter)
        reply = await home.next()
    finally:
        await home.down()
    assert (reply.sender, reply.recipient) == ("", SENDER)
    assert "(613) 555-0141" in reply.subject
    assert reply.message["In-Reply-To"] == "<9@office.example>"
    assert verified(published(key, "fax._domainkey.office.example"), [reply.content]) == ["pass office.example"]
