"""What `mail2fax check` tries: everything the settings name, without faxing or mailing anything."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from mail2fax import log, timezones
from mail2fax.cli.console import out
from mail2fax.config import Provider, Settings, loader
from mail2fax.documents.pool import Pool
from mail2fax.model import Verdict
from mail2fax.providers import UnusableProvider
from mail2fax.providers.routes import DEFAULT, Route, close, open_routes, sections
from mail2fax.replies.letters import Letters
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.smtp.tls import open_context
from mail2fax.smtp.users import Users
from mail2fax.spool import SpoolUnavailable, revision

_NEED_TOKEN = frozenset({"rinble", "sinch", "telnyx"})
_EMPTY = "empty: `mail2fax serve` or `mail2fax migrate` makes the tables"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: how it went, and what to do if it went wrong."""

    what: str
    good: bool
    said: str
    advice: str = ""


class Wrong(Exception):  # noqa: N818 -- a finding
    """What was tried does not work. `advice` is the next step."""

    def __init__(self, said: str, advice: str) -> None:
        super().__init__(said)
        self.advice = advice


Try = Callable[[Settings], Coroutine[Any, Any, str]]


async def run(settings: Settings) -> list[Finding]:
    """Try everything, at once."""
    return list(await asyncio.gather(*[_try(what, attempt, settings) for what, attempt in _TRIES.items()]))


async def _try(what: str, attempt: Try, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(20):
            return Finding(what, good=True, said=await attempt(settings))
    except Wrong as wrong:
        return Finding(what, good=False, said=log.redact(str(wrong)), advice=wrong.advice)
    except (UnusableProvider, OSError) as error:
        return Finding(what, good=False, said=log.redact(str(error)), advice="See the setting that is named.")
    except TimeoutError:
        return Finding(
            what, good=False, said="no answer within 20 s", advice="Is it running, and does a firewall stand between?"
        )


async def _spool(settings: Settings) -> str:
    try:
        found = await asyncio.to_thread(revision, settings)  # a check makes nothing
    except SpoolUnavailable as error:
        raise Wrong(str(error), "See [spool] url: the server, the database and the user must exist.") from None
    except OSError as error:
        raise Wrong(str(error), "See [spool] url: the folder must exist and be writable.") from None
    return f"schema {found}" if found else _EMPTY


async def _templates(settings: Settings) -> str:
    problems = Letters(settings, b"check").problems()
    if problems:
        raise Wrong("; ".join(problems), "Mend the template; until then the shipped one is used.")
    return settings.reply.templates or "the shipped ones"


async def _relay(settings: Settings) -> str:
    smarthost = Smarthost(settings.reply, settings.smtp.hostname)
    try:
        await smarthost.check()
    except Verdict as verdict:
        raise Wrong(
            verdict.note, "See [reply] relay: is the mail server there, and does it take mail from this host?"
        ) from None
    finally:
        await smarthost.close()
    return loader.effective(settings)["reply"]["relay"]  # type: ignore[no-any-return]


async def _provider(settings: Settings) -> str:
    routes = open_routes(settings)
    try:
        for name, route in routes.items():
            await _reach(name, route)
    finally:
        await close(routes)
    return "; ".join(_told(name, wanted, routes[name]) for name, wanted in sections(settings).items())


async def _reach(name: str, route: Route) -> None:
    try:
        await route.provider.check(route.line)
    except Verdict as verdict:
        place = f'[[line]] "{name}"' if name else "[provider]"
        advice = f"See {place} url and ca_file: can this host reach that address?"
        raise Wrong(verdict.note, advice) from None


def _told(name: str, wanted: Provider, route: Route) -> str:
    """A line, and what its provider tells and can do."""
    can = route.provider.capabilities
    yes = {
        "settles a lost answer": can.finds,
        "can stop a fax": can.cancels,
        "deletes its copy when told": can.forgets,
        "tells pages": can.tells_pages,
        "tells the reason of a failure": can.tells_cause,
        "tells the cost": can.tells_cost,
        "dials again by itself": can.dials_again,
    }
    does = [what for what, so in yes.items() if so]
    doesnt = [what for what, so in yes.items() if not so]
    said = f"{', '.join(does) or 'none'}; not: {', '.join(doesnt) or 'none'}"
    line = "" if name == DEFAULT else f'line "{name}": '
    return f"{line}{wanted.name} at {wanted.url} ({said})"


async def _tokens(settings: Settings) -> str:
    lines = sections(settings)
    without = [
        name or "[provider]"
        for name, wanted in lines.items()
        if wanted.name in _NEED_TOKEN and not wanted.token.get_secret_value()
    ]
    if without:
        raise Wrong(f"no token for {', '.join(without)}", "Set token_file (better than token) to the fax line's token.")
    return f"{len(lines)} fax line(s)"


async def _certificate(settings: Settings) -> str:
    if not settings.smtp.tls_certificate:
        return "no TLS: AUTH is not offered" if not settings.smtp.users_file else "no certificate, so nobody can log in"
    try:
        open_context(settings.smtp)
    except (OSError, ValueError) as error:
        raise Wrong(str(error), "See [smtp] tls_certificate and tls_key: PEM files this user may read.") from None
    return settings.smtp.tls_certificate


async def _users(settings: Settings) -> str:
    if not settings.smtp.users_file:
        return "nobody logs in: only trusted_networks may send"
    try:
        return f"{len(Users(settings.smtp.users_file))} users"
    except loader.ConfigError as error:
        raise Wrong(str(error), "Make its lines with `mail2fax passwd NAME`.") from None


async def _times(settings: Settings) -> str:
    return f"{settings.reply.time_zone} by {timezones.source()}"


async def _workers(settings: Settings) -> str:
    pool = Pool(settings.documents)
    try:
        layers = await pool.layers()
    except ConnectionError as error:
        raise Wrong(str(error), "Its own error stands above; `mail2fax explain FILE` makes a document.") from None
    finally:
        await pool.close()
    held = [name for name, in_force in layers.items() if in_force]
    missing = [name for name in layers if name not in held]
    lacking = f"; not by {', '.join(missing)}: see docs/operations.md, Documents from strangers" if missing else ""
    root = "; running as root: better a user of its own" if os.geteuid() == 0 else ""
    return f"confined by {', '.join(held) or 'nothing'}{lacking}{root}"


_TRIES: Mapping[str, Try] = {
    "spool": _spool,
    "templates": _templates,
    "reply relay": _relay,
    "provider": _provider,
    "tokens": _tokens,
    "certificate": _certificate,
    "users": _users,
    "workers": _workers,
    "time zone": _times,
}


def tell(settings: Settings, findings: list[Finding], *, as_json: bool) -> None:
    """Print the settings in force and what was found."""
    shown = loader.effective(settings)
    if as_json:
        found = [{"what": f.what, "good": f.good, "said": f.said, "advice": f.advice} for f in findings]
        typer.echo(json.dumps({"settings": shown, "findings": found}, indent=2, ensure_ascii=False))
        return
    out.print(_settings_table(shown))
    for finding in findings:
        mark, colour = ("ok  ", "green") if finding.good else ("FAIL", "bold red")
        out.print(Text.assemble((mark, colour), f" {finding.what}: {finding.said}"), soft_wrap=True)
        if finding.advice:
            out.print(f"     {finding.advice}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def _settings_table(shown: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for section, keys in shown.items():
        if not isinstance(keys, dict):
            table.add_row(f"[bold]\\[{section}][/]", Text(json.dumps(keys, ensure_ascii=False)))
            continue
        table.add_row(f"[bold]\\[{section}][/]", "")
        for key, value in keys.items():
            table.add_row(f"  {key}", Text(json.dumps(value, ensure_ascii=False)))
    return table
