"""What `mail2fax check` tries: everything the settings name, as `serve` would, without faxing or mailing anything."""

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mail2fax import timezones
from mail2fax.cli import certificate
from mail2fax.cli.addresses import addresses
from mail2fax.config import ConfigError, Provider, Section, Settings, files, loader
from mail2fax.documents.pool import Pool
from mail2fax.model import LineHeld, Permanent, Verdict
from mail2fax.providers.routes import DEFAULT, Route, close, open_routes, sections
from mail2fax.replies.letters import Letters
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.smtp.tls import open_contexts
from mail2fax.smtp.users import Users
from mail2fax.spool import SpoolUnavailable, database_file, is_served, revision

_EMPTY = "empty: `mail2fax serve` or `mail2fax migrate` makes the tables"
_NEED_TOKEN = frozenset({"rinble", "sinch", "telnyx"})
_SOON = timedelta(days=14)

Said = tuple[str, str]  # how it is; and what to do about it before it goes wrong, "" for nothing
Try = Callable[[Settings], Coroutine[Any, Any, Said]]


class Wrong(Exception):  # noqa: N818 -- a finding
    """What was tried does not work. `advice` is the next step."""

    def __init__(self, said: str, advice: str) -> None:
        super().__init__(said)
        self.advice = advice


async def _files(settings: Settings) -> Said:
    files.require(settings)  # as `serve` does first of all; raises ConfigError
    return "all that the settings name can be read", ""


async def _spool(settings: Settings) -> Said:
    path = database_file(settings)
    try:
        if path:
            _writable(path, settings.spool.place("url"))
        found = await asyncio.to_thread(revision, settings)  # a check makes nothing
    except SpoolUnavailable as error:
        raise Wrong(str(error), "See [spool] url: the server, the database and the user must exist.") from None
    except OSError as error:
        said = f"{settings.spool.place('url')}: {path}: {error.strerror or error}"
        raise Wrong(said, "The folder must exist and be writable.") from None
    return f"schema {found}" if found else _EMPTY, ""


def _writable(path: Path, key: str) -> None:
    """Raise Wrong unless this user can write the spool's file, its contents, and beside them."""
    folder = path.absolute().parent
    while not folder.exists():  # `serve` makes what is missing
        folder = folder.parent
    advice = f"Let {folder} belong to the user who serves, or name another place in {key}."
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Wrong(f"{path.absolute()}: cannot write in {folder}: {error.strerror}", advice) from None
    for place in (path, path.with_name(path.name + ".contents")):
        if place.exists() and not os.access(place, os.R_OK | os.W_OK):
            raise Wrong(f"{place.absolute()} is not writable for this user", advice)


async def _ports(settings: Settings) -> Said:
    if settings.web.webhooks:
        from mail2fax.web import webhooks  # noqa: PLC0415 -- loads what few need

        webhooks.keys(settings)
    served = is_served(settings)
    wanted = {
        settings.smtp.place("listen"): settings.smtp.listen,
        settings.smtp.place("listen_tls"): settings.smtp.listen_tls,
    }
    for key in ("listen", "operate", "webhooks"):
        address = getattr(settings.web, key)
        wanted[settings.web.place(key)] = [address] if address else []
    said = []
    for key, places in wanted.items():
        for address in places:
            problem = await asyncio.to_thread(_bound, address)
            if problem and not (served and problem.errno == errno.EADDRINUSE):
                raise Wrong(f"{key} {address}: {problem.strerror}", _advice_on(problem, address))
            said.append(f"{address} {'in use: a node runs' if problem else 'free'}")
    return ", ".join(said), _public(settings.web.listen)


def _bound(address: str) -> OSError | None:
    host, _, port = address.rpartition(":")
    try:
        for family, *_, place in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM):
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except OSError as error:
        return error
    return None


def _advice_on(problem: OSError, address: str) -> str:
    port = address.rpartition(":")[2]
    return {
        errno.EADDRINUSE: f"Another program has port {port}: `ss -ltnp sport = :{port}` says which.",
        errno.EADDRNOTAVAIL: "This machine has no such address: `ip address` lists those it has.",
        errno.EACCES: "A port below 1024 needs a right: see the last lines of contrib/mail2fax.service.",
    }.get(problem.errno or 0, "Write an address of this machine, such as 127.0.0.1:2525.")


def _public(listen: str) -> str:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        inside = not host or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    return "" if inside else f"[web] listen {listen} shows a page without a login to whoever reaches that address."


async def _templates(settings: Settings) -> Said:
    problems = Letters(settings, b"check").problems()
    if problems:
        raise Wrong("; ".join(problems), "Mend the template; until then the shipped one is used.")
    return settings.reply.templates or "the shipped ones", ""


async def _relay(settings: Settings) -> Said:
    """Everything a reply needs, up to the recipient: to the one who reads answers. Then it is taken back."""
    _readable(settings.reply, "relay_ca_file")
    smarthost = Smarthost(settings.reply, settings.smtp.hostname)
    recipient = settings.reply.admin_mailbox or _sender(settings)
    try:
        await smarthost.check(recipient)
        unread = await _unread(settings, smarthost)
    except Verdict as verdict:
        raise Wrong(
            verdict.note, "See [reply] relay: is the mail server there, and does it relay for this host?"
        ) from None
    finally:
        await smarthost.close()
    relay = loader.effective(settings)["reply"]["relay"]
    readable = await asyncio.to_thread(_readable_by_strangers, settings.reply.relay)
    return f"{relay} would take a reply to {recipient}", " ".join(filter(None, (unread, readable)))


async def _unread(settings: Settings, smarthost: Smarthost) -> str:
    """What to do about a [reply] sender that nobody can write to: people answer replies, and servers ask for it."""
    sender = _sender(settings)
    advice = "Answers of people would bounce, and servers that ask back for it refuse replies: name a real mailbox."
    if sender.rpartition("@")[2].lower() in settings.smtp.domains:
        return f"[reply] sender {sender} is in a domain of faxes, so it is nobody's mailbox. {advice}"
    try:
        await smarthost.check(sender)
    except Permanent as verdict:
        return f"Nobody can write to [reply] sender {sender}: {verdict.note}. {advice}"
    except Verdict:
        pass  # "not now" says nothing of the mailbox: greylisting, or a verification that is under way
    return ""


def _sender(settings: Settings) -> str:
    """The address that replies come from."""
    return settings.reply.mailbox or f"postmaster@{settings.smtp.hostname}"


def _readable_by_strangers(relay: str) -> str:
    """What to do about replies that leave the office in plain."""
    url = urlsplit(relay)
    if url.scheme != "smtp":
        return ""
    for address in addresses(url.hostname or ""):
        if address.is_global:
            return f"Replies go to {address} unencrypted, over the internet: write [reply] relay as smtp+starttls://."
    return ""


async def _signature(settings: Settings) -> Said:
    if not settings.reply.dkim_key_file:
        return "replies are not signed", ""
    from mail2fax.replies.signature import Signer  # noqa: PLC0415 -- as in replies: loaded where they are signed

    signer = Signer(settings.reply)
    if problem := await asyncio.to_thread(signer.problem):
        advice = f"{signer.record}: {problem}. docs/relays.md shows the TXT record; until then signing harms replies."
        return "replies are signed, and nobody can verify it", advice
    return f"replies are signed as {signer.record} says", ""


async def _provider(settings: Settings) -> Said:
    routes = open_routes(settings)
    try:
        for name, wanted in sections(settings).items():
            await _reach(wanted, routes[name])
    finally:
        await close(routes)
    return "; ".join(_told(name, wanted, routes[name]) for name, wanted in sections(settings).items()), ""


async def _reach(wanted: Provider, route: Route) -> None:
    try:
        await route.provider.check(route.line)
    except Verdict as verdict:
        reached = isinstance(verdict, LineHeld)
        advice = (
            f"Mend it in {wanted.heading}."
            if reached
            else f"See {wanted.heading} url and ca_file: can this host reach that address?"
        )
        raise Wrong(verdict.note, "Start it: mail2fax sandbox" if wanted.name == "sandbox" else advice) from None


def _told(name: str, wanted: Provider, route: Route) -> str:
    """A line, and what its provider tells and can do."""
    can = route.provider.capabilities
    yes = {
        "find a fax whose answer was lost": can.finds,
        "stop a fax": can.cancels,
        "delete its copy when told": can.forgets,
        "tell pages": can.tells_pages,
        "tell why a fax failed": can.tells_cause,
        "tell the cost": can.tells_cost,
        "dial again by itself": can.dials_again,
    }
    does = [what for what, so in yes.items() if so]
    doesnt = [what for what, so in yes.items() if not so]
    said = f"can {', '.join(does) or 'do no more than send'}; cannot {', '.join(doesnt)}".removesuffix("; cannot ")
    most = [f"{can.max_pages} pages"] if can.max_pages else []
    most += [f"{can.max_bytes // 10**6} MB"] if can.max_bytes else []
    said += f"; takes {' and '.join(most)} at most" if most else ""
    line = "" if name == DEFAULT else f'line "{name}": '
    where = "nothing is faxed" if wanted.name == "sandbox" else f"at {wanted.url}"
    return f"{line}{wanted.name}, {where} ({said})"


async def _tokens(settings: Settings) -> Said:
    lines = sections(settings)
    without = [
        wanted.place("token_file")
        for wanted in lines.values()
        if wanted.name in _NEED_TOKEN and not wanted.token.get_secret_value()
    ]
    if without:
        raise Wrong(f"no token: {', '.join(without)}", "Let it name a file (better than token) with the line's token.")
    return _count(len(lines), "fax line"), ""


async def _certificate(settings: Settings) -> Said:
    smtp = settings.smtp
    if not smtp.tls_certificate:
        return ("no certificate, so nobody can log in" if smtp.users_file else "no TLS: AUTH is not offered"), ""
    try:
        contexts = open_contexts(smtp)
        assert contexts is not None
        found = certificate.described(contexts.plain, smtp.tls_certificate)
    except ssl.SSLCertVerificationError as error:
        said = f"{smtp.place('tls_certificate')}: {smtp.tls_certificate}: {error.verify_message}"
        raise Wrong(said, "Renew it, then reload the service.") from None
    except (OSError, ValueError) as error:
        raise Wrong(f"{smtp.place('tls_certificate')}: {smtp.tls_certificate}: {error}", "") from None
    said = f"{smtp.tls_certificate} for {', '.join(found.names) or 'no name'}, until {found.until:%Y-%m-%d}"
    return said, _soon_wrong(found, smtp.hostname)


def _soon_wrong(found: certificate.Certificate, hostname: str) -> str:
    left = found.until - datetime.now(UTC)
    if left < _SOON:
        return f"It ends in {_count(left.days, 'day')}: renew it, then reload the service."
    if not found.holds_for(hostname):
        return f"It does not hold for [smtp] hostname {hostname}: clients that check the name refuse it."
    return ""


def _readable(section: Section, key: str) -> None:
    if problem := files.unreadable_in(section, key):
        raise Wrong(problem, "")


async def _users(settings: Settings) -> Said:
    if not settings.smtp.users_file:
        return "nobody logs in: only trusted_networks may send", ""
    try:
        return _count(len(Users(settings.smtp.users_file)), "user"), ""
    except ConfigError as error:
        raise Wrong(str(error), "Make its lines with `mail2fax passwd NAME`.") from None


async def _workers(settings: Settings) -> Said:
    pool = Pool(settings.documents)
    try:
        layers = await pool.layers()
    except ConnectionError as error:
        raise Wrong(str(error), "Its own error stands above; `mail2fax explain FILE` makes a document.") from None
    finally:
        await pool.close()
    held = [name for name, in_force in layers.items() if in_force]
    missing = [name for name in layers if name not in held]
    lacking = f"Not by {', '.join(missing)}: see docs/operations.md, Documents from strangers." if missing else ""
    return f"confined by {', '.join(held) or 'nothing'}", lacking


async def _times(settings: Settings) -> Said:
    return f"{settings.reply.time_zone} by {timezones.source()}", ""


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'s' * (many != 1)}"


TRIES: Mapping[str, Try] = {
    "files": _files,
    "spool": _spool,
    "ports": _ports,
    "templates": _templates,
    "reply relay": _relay,
    "signature": _signature,
    "provider": _provider,
    "tokens": _tokens,
    "certificate": _certificate,
    "users": _users,
    "workers": _workers,
    "time zone": _times,
}
