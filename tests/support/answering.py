"""An answer to one of our replies, as a mail program writes it and a client brings it."""

import asyncio
import smtplib
from email.message import EmailMessage
from email.policy import SMTP

SENDER = "anna@office.example"


def answer(
    text: str, subject: str = "Re: Not faxed", quoted: str = "Your fax was not delivered. 416 555 0199"
) -> bytes:
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = SENDER, subject
    made.set_content(f"{text}\n\nOn Monday Fax wrote:\n> {quoted}\n")
    return made.as_bytes()


def brought(server: tuple[str, int], recipient: str, content: bytes, sender: str = SENDER) -> tuple[int, str]:
    """Send a mail, waiting for it. The code and text of the first refusal, or of the end."""
    with smtplib.SMTP(*server, timeout=30) as client:
        client.ehlo("client.example")
        client.mail(sender)
        code, text = client.rcpt(recipient)
        if code == 250:
            try:
                code, text = client.data(content)
            except smtplib.SMTPDataError as refused:  # before 354: about the sender, not the address
                code, text = refused.args
        return code, text.decode()


async def say(running, address: str, content: bytes, sender: str = SENDER) -> tuple[int, str]:
    """Send an answer to a node of this process, as `brought` does."""
    return await asyncio.to_thread(brought, running.address, address, content, sender)
