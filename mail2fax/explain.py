"""Why a mail would be faxed, or not: `mail2fax explain` asks the same rules as the listener, and sends nothing.

Promise: each answer names the setting behind it. Only what was faxed lately is not looked at: the spool stays closed.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mail2fax.config import Settings, loader
from mail2fax.documents.orders import CoverSheet, Made, Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Part, Permanent, Recipient, User, Verdict
from mail2fax.rules import address, networks, senders, signed_address
from mail2fax.rules.patterns import Patterns
from mail2fax.rules.policy import Policy, Ruling, in_words
from mail2fax.smtp import answers, loops, paths
from mail2fax.smtp.users import Users


@dataclass(frozen=True, slots=True)
class Step:
    """One question and its answer."""

    what: str  # "client", "login", "sender", "number", "budget", "line", "mail", "document", "preview" or "reply"
    good: bool
    said: str  # what would happen; of a refusal the SMTP reply
    rule: str  # what decides it, '[smtp] trusted_networks "127.0.0.0/8"'
    when: str = ""  # of a refusal the command that hears it: "MAIL", "RCPT" or "DATA"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a mail."""

    steps: tuple[Step, ...]
    recipient: Recipient | None  # what would be dialled; None when it is refused
    line: str  # name of the [[line]]; "" is [provider].token
    reply_to: str
    made: Made | None = None  # the account of the file's parts, and its documents; None without a file

    @property
    def accepted(self) -> bool:
        """Whether a fax would be sent."""
        return all(step.good for step in self.steps)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What would become of each part of the file."""
        return self.made.parts if self.made else ()


def explain(  # noqa: PLR0913 -- each is a circumstance of the mail
    settings: Settings,
    sender: str,
    recipient: str,
    client: str = "127.0.0.1",
    user: str = "",
    *,
    file: Path | None = None,
    preview: Path | None = None,
    certificate: str = "",
) -> Explanation:
    """What would happen to a mail from `sender` to `recipient`, and to this file if it were that mail.

    `user` is a login, `certificate` a name in the client's TLS certificate; `preview` a folder for pictures of
    the pages as the other machine prints them.
    Raises ConfigError when [smtp] users_file cannot be read, OSError when `file` cannot.
    """
    policy = Policy(settings)
    login = Users(settings.smtp.users_file).named(user) if user else None
    sender = sender.removeprefix("<").removesuffix(">")
    recipient = recipient.removeprefix("<").removesuffix(">")
    fax = policy.recipient(recipient).recipient
    steps = [
        *_envelope(settings, policy, client, user, login, _certified(settings, client, certificate)),
        _ruled("sender", policy.sender(sender, login), sender, "DATA"),
    ]
    steps += [
        _own(settings, policy, recipient) or _number(policy, recipient, fax, relay=steps[0].good and not user),
        *_budget(settings),
        _line(settings, policy, sender, fax.number if fax else ""),
    ]
    made = None
    if file:
        steps.append(_mail(settings, file))
        made, found = asyncio.run(_document(settings, file, fax, sender, preview))
        steps += found
    steps.append(_reply(settings, sender))
    return Explanation(tuple(steps), fax, policy.line(sender, fax.number if fax else ""), sender, made)


def _ruled(what: str, ruling: Ruling, said: str, when: str) -> Step:
    good = ruling.refusal is None
    return Step(what, good, ruling.refusal or said, ruling.rule, "" if good else when)


def _certified(settings: Settings, client: str, name: str) -> tuple[str, ...]:
    """What the client's certificate proves: nothing where none is asked for."""
    try:
        asked = networks.means(networks.parsed(settings.smtp.client_certificate_networks), client)
    except ValueError:
        asked = False
    return (name.lower(),) if name and asked else ()


def _envelope(
    settings: Settings, policy: Policy, client: str, user: str, login: User | None, certified: tuple[str, ...]
) -> Iterator[Step]:
    tls = " over TLS" if settings.smtp.require_tls else ""
    yield _ruled("client", policy.client(client, user, certified, tls=True), f"{client} may send{tls}", "MAIL")
    if user:
        rule = f"[smtp] users_file {settings.smtp.users_file}".rstrip()
        said = f"{user} may log in over TLS" if login else f"535 5.7.8 there is no login {address.shown(user)}"
        yield Step("login", login is not None, said, rule)


def _number(policy: Policy, path: str, fax: Recipient | None, *, relay: bool) -> Step:
    """`relay`: the client is let in without a login."""
    ruling = policy.recipient(path)
    said = ""
    if fax:
        said = f"{address.pretty(fax.number)}, dialled as {fax.number}{', with a cover page' if fax.cover else ''}"
    elif ruling.refusal and policy.mistyped(path, relay=relay):
        said = f"taken, and answered by a reply: {in_words(ruling.refusal)}"
        return Step("number", good=False, said=said, rule='[numbers] mistyped "reply"')
    return _ruled("number", ruling, said, "RCPT")


def _own(settings: Settings, policy: Policy, path: str) -> Step | None:
    """An address that is no number and exists all the same, for a mail server that asks back; None for any other."""
    local_part, _, domain = path.rpartition("@")
    if domain.lower() not in settings.smtp.domains:
        return None
    if local_part.lower() == paths.POSTMASTER:
        to = settings.smtp.postmaster
        said = f"not faxed, but forwarded to {to}" if to else answers.NO_POSTMASTER
        return Step("number", good=False, said=said, rule="[smtp] postmaster", when="" if to else "DATA")
    if settings.reply.resend and signed_address.claimed(local_part):
        said = "not faxed: it asks for what the answered reply offers, if its signature holds"
        return Step("number", good=False, said=said, rule="[reply] resend")
    if policy.is_reply_sender(path):
        return Step("number", good=False, said=answers.NO_MAILBOX, rule="[reply] sender", when="DATA")
    return None


def _budget(settings: Settings) -> Iterator[Step]:
    limits = {key: limit for key, limit in settings.limits.model_dump().items() if limit}
    if limits:
        said = "not counted here: " + ", ".join(f"{key} = {limit}" for key, limit in limits.items())
        yield Step("budget", good=True, said=said, rule="[limits]")


def _line(settings: Settings, policy: Policy, sender: str, number: str) -> Step:
    name = policy.line(sender, number)
    line = next((line for line in settings.line if line.name == name), None)
    rule = "[provider] token, no [[line]] fits"
    if line:
        rule = f'[[line]] "{name}" senders "{Patterns(line.senders).fitting(senders.behind(sender))}"'
    token = (line or settings.provider).token.get_secret_value()
    tokenless = "" if token or settings.provider.name != "rinble" else ", which has no token yet"
    return Step("line", good=True, said=f"{name or 'default'}{tokenless}", rule=rule)


def _mail(settings: Settings, file: Path) -> Step:
    size, most = file.stat().st_size, settings.smtp.max_message_size
    if size > most:
        return Step(
            "mail", good=False, said=f"552 5.3.4 {size} bytes, the limit is {most}", rule="[smtp] max_message_size"
        )
    with file.open("rb") as content:
        head = content.read(loops.HEADER_BYTES)
    # A file saved on Unix has bare line ends; over SMTP it would come with CR LF.
    refusal = loops.refusal(head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return Step("mail", refusal is None, refusal or f"{size} bytes", "mail loops, RFC 5321 section 6.3 and RFC 3834")


async def _document(
    settings: Settings, file: Path, fax: Recipient | None, sender: str, preview: Path | None
) -> tuple[Made | None, list[Step]]:
    rules, cover = settings.documents, settings.cover
    pool = Pool(rules)
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            source=file,
            folder=Path(folder),
            several=rules.several,
            incomplete=rules.incomplete,
            page_size=rules.page_size,
            pages=rules.pages,
            max_pages=rules.max_pages,
            convert=tuple(rules.convert),
            cover=CoverSheet(fax.number, cover.company, cover.template, sender) if fax and fax.cover else None,
            print_folder=preview is not None,
        )
        try:
            made = await pool.make(task)
        except Permanent as verdict:
            return None, [Step("document", good=False, said=_why(verdict), rule="[documents]")]
        finally:
            await pool.close()
        return made, [_made(made, rules.several), *_printed(Path(folder), preview)]


def _made(made: Made, several: str) -> Step:
    if made.reason:
        detail = ", ".join(f"{key} {value}" for key, value in made.detail.items())
        return Step("document", good=False, said=f"{made.reason} {detail}".strip(), rule="[documents]")
    said = " and ".join(f"{one.pages} page{'s' * (one.pages != 1)}, {one.size} bytes" for one in made.documents)
    return Step("document", good=True, said=said, rule=f'[documents] several "{several}"')


def _printed(folder: Path, preview: Path | None) -> Iterator[Step]:
    """Keep the pictures of the pages, for our eyes only: they show what the mail says."""
    if preview:
        preview.mkdir(mode=0o700, parents=True, exist_ok=True)
        pictures = sorted(folder.glob("*.png"))
        for picture in pictures:
            _keep(picture, preview / picture.name)
        yield Step("preview", good=True, said=f"{len(pictures)} pictures of pages in {preview}", rule="--preview")


def _keep(picture: Path, kept: Path) -> None:
    kept.unlink(missing_ok=True)  # one of an earlier preview may be open to others
    handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as copy, picture.open("rb") as drawn:
        shutil.copyfileobj(drawn, copy)


def _why(verdict: Verdict) -> str:
    return f"{verdict.status} {verdict.reason}"


def _reply(settings: Settings, sender: str) -> Step:
    relay = loader.without_password(settings.reply.relay)
    return Step(
        "reply", bool(sender), f"to {sender}" if sender else "none: there is no sender", f"[reply] relay {relay}"
    )
