"""`mail2fax check --running`: how the service is, as a plugin for Nagios, Icinga, Zabbix and their kin.

One line, figures behind a bar, and the exit status (the monitoring plugins' development guidelines): 0 OK, 1 WARNING,
2 CRITICAL, 3 UNKNOWN.
"""

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import typer

from mail2fax import log
from mail2fax.cli.console import load, print_json, the_spool
from mail2fax.config import ConfigError, Settings
from mail2fax.model import Refused, State
from mail2fax.spool import SpoolUnavailable, database_file, is_served, overview

_OK, _WARNING, _CRITICAL, _UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_PATIENCE = 10.0  # seconds for each question
_LONGEST = 100_000  # bytes of an answer


@dataclass(slots=True)
class Found:
    """What was found so far."""

    status: int = _OK
    said: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, status: int, said: str) -> None:
        """Something is wrong."""
        self.status = max(self.status, status)
        self.said.append(said)


def run(config: Path | None, late: float, *, as_json: bool) -> int:
    """Ask, and print. The exit status."""
    try:
        found = asyncio.run(_look(load(config), late))
    except (ConfigError, OSError, Refused) as error:
        found = Found(_UNKNOWN, [log.redact(str(error)).replace("\n", "; ")])
    if as_json:
        print_json({"status": _WORDS[found.status], "said": found.said, "figures": found.figures})
    else:
        typer.echo(_line(found))
    return found.status


def _line(found: Found) -> str:
    waiting = f"{found.figures.get('waiting', 0):.0f} under way"
    said = "; ".join(found.said).replace("|", "/") or waiting
    figures = " ".join(f"{name}={value:g}{'s' * (name == 'oldest')}" for name, value in found.figures.items())
    return f"MAIL2FAX {_WORDS[found.status]}: {said}{f' | {figures}' if figures else ''}"


async def _look(settings: Settings, late: float) -> Found:
    found = Found()
    if not is_served(settings):
        found.add(_CRITICAL, "no `mail2fax serve` runs on this spool")
        path = database_file(settings)
        if path and not path.exists():
            return found
    elif settings.web.listen and (wrong := await asyncio.to_thread(_unready, settings.web.listen)):
        found.add(_CRITICAL, wrong)
    try:
        async with asyncio.timeout(_PATIENCE), the_spool(settings) as spool:
            standing = await spool.read(overview.standing)
            oldest = await spool.read(overview.waits)
            hours = await spool.read(overview.hours)
    except (SpoolUnavailable, TimeoutError) as error:
        found.add(_CRITICAL, f"the database does not answer: {log.redact(str(error)) or 'too slow'}")
        return found
    unknown = sum(hour.faxes.get(State.UNKNOWN, 0) for hour in hours)
    _judge(found, standing, oldest=oldest, late=late, unknown=unknown)
    found.figures = _figures(standing, oldest, unknown)
    return found


def _unready(listen: str) -> str:
    """Why /readyz says that no mail should come; "" when it should."""
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 -- compared alone
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{host}:{port}/readyz", timeout=_PATIENCE):
            return ""
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            return f"/readyz answers {error.code}"
        return _reasons(error, listen)
    except HTTPException:
        return _another(listen)
    except OSError as error:
        return f"[web] listen {listen} does not answer: {getattr(error, 'reason', error)}"


def _reasons(answer: urllib.error.HTTPError, listen: str) -> str:
    try:
        return "not ready: " + ", ".join(json.loads(answer.read(_LONGEST))["reasons"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return _another(listen)


def _another(listen: str) -> str:
    return f"[web] listen {listen} answers, but not as mail2fax: another program has that port"


def _judge(found: Found, standing: overview.Standing, *, oldest: float, late: float, unknown: int) -> None:
    for trouble in standing.troubles:
        name = f' "{trouble.line}"' if trouble.line else ""
        found.add(
            _CRITICAL if trouble.held else _WARNING,
            f"fax line{name} {'is held' if trouble.held else 'stumbles'}: {trouble.note}",
        )
    warnings = {
        f"sending is paused by {standing.paused.who}" if standing.paused else "": standing.paused,
        f"a fax waits for {oldest / 60:.0f} minutes": oldest > late,
        f"{standing.undeliverable} replies could not be delivered": standing.undeliverable,
        f"{unknown} unknown of the last day: mail2fax list --state unknown": unknown,
    }
    for said, so in warnings.items():
        if so:
            found.add(_WARNING, said)


def _figures(standing: overview.Standing, oldest: float, unknown: int) -> dict[str, float]:
    return {
        "waiting": sum(standing.waiting.values()),
        "oldest": round(oldest),
        "held": standing.held,
        "replies_owed": standing.owed,
        "undeliverable": standing.undeliverable,
        "unknown": unknown,
    }
