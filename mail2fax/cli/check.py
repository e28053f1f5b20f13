"""`mail2fax check`: what is tried at once, how each attempt went, and how that is told."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from mail2fax import log
from mail2fax.cli.console import out, print_json, say
from mail2fax.cli.hints import typed
from mail2fax.cli.tries import TRIES, Try, Wrong
from mail2fax.config import ConfigError, Settings, loader
from mail2fax.providers import UnusableProvider

_PATIENCE = 20.0  # seconds for one attempt


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: how it went, and what to do if it went wrong, or soon will."""

    what: str
    good: bool
    said: str
    advice: str = ""

    @property
    def mark(self) -> tuple[str, str]:
        """How it is marked in the list, and in which colour."""
        if not self.good:
            return "FAIL", "bold red"
        return ("note", "yellow") if self.advice else ("ok  ", "green")


async def run(settings: Settings, user: str = "") -> list[Finding]:
    """Try everything, at once. `user`: as whom, if root became somebody else for it."""
    tried = await asyncio.gather(*[_try(what, attempt, settings) for what, attempt in TRIES.items()])
    return [*_as_whom(user), *tried]


def _as_whom(user: str) -> Sequence[Finding]:
    if user:
        return [Finding("user", good=True, said=f"checked as {user}, whose spool it is")]
    if os.geteuid() == 0:
        advice = "A service that runs as another user may read and write less: run the check as that user."
        return [Finding("user", good=True, said="checked as root", advice=advice)]
    return []


async def _try(what: str, attempt: Try, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            said, advice = await attempt(settings)
            return Finding(what, good=True, said=said, advice=advice)
    except Wrong as wrong:
        return Finding(what, good=False, said=log.redact(str(wrong)), advice=wrong.advice)
    except TimeoutError:
        said = f"no answer within {_PATIENCE:.0f} s"
        return Finding(what, good=False, said=said, advice="Is it running, and does a firewall stand between?")
    except (UnusableProvider, ConfigError, OSError) as error:
        return Finding(what, good=False, said=log.redact(str(error)), advice="See the setting that is named.")


def tell(settings: Settings, findings: Sequence[Finding], *, brief: bool, as_json: bool) -> None:
    """Print the settings in force and what was found."""
    shown = loader.effective(settings)
    if as_json:
        found = [{"what": f.what, "good": f.good, "said": f.said, "advice": f.advice} for f in findings]
        print_json({"findings": found} if brief else {"settings": shown, "findings": found})
        return
    if not brief:
        out.print(_settings_table(shown))
    for finding in findings:
        out.print(Text.assemble(finding.mark, typed(f" {finding.what}: {finding.said}")), soft_wrap=True)
        if finding.advice:
            say(f"     {finding.advice}", style="yellow")


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
