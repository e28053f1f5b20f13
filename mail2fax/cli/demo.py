"""`mail2fax demo`: the whole bridge on this machine, with the sandbox for a provider and a mailbox for the replies.

Nothing is staged: the mail goes in by SMTP, the document through a process of its own, the fax over HTTP, and the
reply comes back by SMTP. Nothing leaves the loopback interface, and nothing is left on the disk.

Promise: it runs whatever the service on this machine is set to. Only the reply's words are taken from settings, and
only from those that somebody names.
"""

import asyncio
import contextlib
import email.policy
import signal
import smtplib
import socket
import tempfile
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from mail2fax import log, node
from mail2fax.cli import following, hints
from mail2fax.cli.setup.answers import toml
from mail2fax.config import Reply, Settings
from mail2fax.documents.pages import typeset
from mail2fax.rules.address import pretty
from mail2fax.sandbox import server as sandbox

NUMBER = "4165550123"
SENDER = "anna@office.example"
_PATIENCE = 40.0  # seconds for the whole way
_LOOK = 0.05
_WORDS = {"sender", "templates", "language", "languages", "time_zone", "preview", "json_part", "failure_format"}


class Mailbox:
    """Stands in for the sender's mail server."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[EmailMessage] = asyncio.Queue()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        """Keep the mail."""
        content = envelope.original_content or b""
        self.mails.put_nowait(BytesParser(policy=email.policy.default).parsebytes(content))
        return "250 2.0.0 kept"


async def run(out: Console, words: Reply | None, *, keep: bool) -> int:
    """Show the way of one mail, and with `keep` stay for more. The exit status. SIGTERM ends it as Ctrl-C does.

    `words`: the settings of the replies whose templates, languages and times are to be seen.
    """
    loop, ourselves = asyncio.get_running_loop(), asyncio.current_task()
    assert ourselves is not None
    loop.add_signal_handler(signal.SIGTERM, ourselves.cancel)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mail2fax-demo-"))
        provider = await stack.enter_async_context(sandbox.serve("127.0.0.1:0"))
        mailbox = Mailbox()
        relay = await stack.enter_async_context(_mail_server(mailbox))
        sections = _sections(words or Reply(), Path(folder), provider.url, relay, keep=keep)
        log.configure("console", "error")
        bridge = await stack.enter_async_context(node.running(Settings.model_validate(sections)))
        out.print(_opening(bridge.addresses[0], provider.url))
        arrived = await _one_mail(out, bridge, provider, mailbox)
        if keep:
            await _stay(out, bridge, provider, mailbox, _written(Path(folder), sections, bridge))
        return 0 if arrived else 1


def _sections(words: Reply, folder: Path, url: str, relay: str, *, keep: bool) -> dict[str, dict[str, Any]]:
    return {
        "smtp": {"listen": ["127.0.0.1:2525" if keep and _free(2525) else "127.0.0.1:0"]},
        "provider": {"name": "sandbox", "url": url},
        "spool": {"url": f"sqlite:///{folder}/spool.db"},
        "poll": {"first": 0.3, "longest": 1.0},
        "reply": {"relay": relay, **words.model_dump(include=_WORDS)},
        "web": {"listen": "127.0.0.1:8080" if keep and _free(8080) else ""},
    }


def _written(folder: Path, sections: dict[str, dict[str, Any]], bridge: node.Node) -> Path:
    """The settings of the demo as a file: the other commands take it, as they take that of a service."""
    file = folder / "mail2fax.toml"
    file.write_text(toml(sections | {"smtp": {"listen": [*bridge.addresses]}}), "utf-8")
    return file


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.asynccontextmanager
async def _mail_server(mailbox: Mailbox) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, hostname="mail.office.example", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    async with server:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _opening(address: str, url: str) -> Panel:
    text = Text.assemble(
        ("SMTP door      ", "bold"), address, "\n",
        ("Fax provider   ", "bold"), url, "  (the built-in sandbox: nothing is dialled)\n",
        ("Mail           ", "bold"), f"from {SENDER} to {NUMBER}@fax.local, with Lab results.pdf (2 pages, A4)",
    )  # fmt: skip
    return Panel(text, title="mail2fax demo", title_align="left", border_style="blue")


async def _one_mail(out: Console, bridge: node.Node, provider: sandbox.Sandbox, mailbox: Mailbox) -> bool:
    host, _, port = bridge.addresses[0].rpartition(":")
    answer = await asyncio.to_thread(_send, host, int(port))
    out.print(Text.assemble(("  0.00 s  ", "dim"), ("250 after DATA".ljust(15), "bold"), answer))
    try:
        async with asyncio.timeout(_PATIENCE):
            await following.follow(out, bridge.spool, f"{answer.split()[-1]}-1", every=_LOOK)
            reply = await mailbox.mails.get()
    except TimeoutError:
        out.print(f"The reply did not come within {_PATIENCE:.0f} s.", style="bold red")
        return False
    out.print(_as_read(reply))
    return _verdict(out, provider, reply)


def _send(host: str, port: int) -> str:
    with smtplib.SMTP(host, port, timeout=20) as client:
        client.ehlo("scanner.office.example")
        client.mail(SENDER)
        client.rcpt(f"{NUMBER}@fax.local")
        code, answer = client.data(mail().as_bytes(policy=email.policy.SMTP))
    if code != 250:
        raise OSError(f"the bridge refused the demo's mail: {code} {answer.decode(errors='replace')}")
    return answer.decode()


def mail() -> EmailMessage:
    """A mail such as an office sends: text in two forms, and a PDF of two pages in A4."""
    sent = EmailMessage()
    sent["From"] = f"Anna Tremblay <{SENDER}>"
    sent["To"] = f"{NUMBER}@fax.local"
    sent["Subject"] = "Lab results"
    sent["Date"] = formatdate(localtime=True)
    sent["Message-ID"] = make_msgid(domain="office.example")
    sent.set_content("Please find the results attached.\n\n-- \nAnna Tremblay\nOffice Example\n")
    sent.add_alternative("<p>Please find the results attached.</p>", subtype="html")
    sent.add_attachment(_pdf(), "application", "pdf", filename="Lab results.pdf")
    return sent


def _pdf() -> bytes:
    samples = [f"Sample {number}: within the expected range" for number in range(1, 25)]
    pages = (f"Lab results, page {page} of 2\n\n" + "\n".join(samples[12 * page - 12 : 12 * page]) for page in (1, 2))
    return typeset.plain("lab-results.txt", "\f".join(pages), max_pages=2)


def _as_read(reply: EmailMessage) -> Panel:
    body = reply.get_body(("plain",))
    text = Text()
    for name in ("From", "To", "Subject", "In-Reply-To", "Auto-Submitted"):
        if reply[name]:
            text.append(f"{name}: ", "bold").append(f"{reply[name]}\n")
    text.append("\n").append(body.get_content().rstrip() if body else "(no text)")
    return Panel(text, title="The reply in the sender's mailbox", title_align="left", border_style="green")


def _verdict(out: Console, provider: sandbox.Sandbox, reply: EmailMessage) -> bool:
    faxes = [fax for fax in provider.faxes if fax.number == NUMBER]  # the door is open to other mails as well
    arrived = len(faxes) == 1 and faxes[0].status == "Success" and reply["In-Reply-To"]
    if arrived:
        out.print(f"The fax arrived once at {pretty(NUMBER)}: {faxes[0].size:,} bytes of PDF.", style="bold green")
    else:
        out.print(f"The fax did not arrive as it should: the provider has {len(faxes)}.", style="bold red")
    return bool(arrived)


async def _stay(
    out: Console, bridge: node.Node, provider: sandbox.Sandbox, mailbox: Mailbox, settings_file: Path
) -> None:
    """Show every reply until interrupted."""
    hints.remember(settings_file)
    lines = {
        "Send your own": f"SMTP server {bridge.addresses[0]}, to <ten digits>@fax.local, any sender",
        "Status page": f"http://{bridge.page}/" if bridge.page else "none: port 8080 is in use",
        "The provider got": provider.url.removesuffix("api/fax"),
        "Failures to try": hints.typed("numbers that simulate them: mail2fax sandbox --help"),
        "The queue": hints.typed("mail2fax list"),
        "One fax": hints.typed("mail2fax show ID"),
    }
    out.print()
    for name, said in lines.items():
        out.print(Text.assemble((f"{name:<18}", "bold"), said), soft_wrap=True)
    out.print("The commands go into another terminal, in this folder. Replies are shown here. Ctrl-C ends it.\n")
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        while True:
            out.print(_as_read(await mailbox.mails.get()))
