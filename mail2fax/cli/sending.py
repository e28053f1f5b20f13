"""The commands about all faxes at once and about mail that became none: pause, resume, refused."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from mail2fax.cli.console import ConfigFile, Json, load, out, print_json, say, tell, the_spool, who
from mail2fax.spool import Work, operator, turned_away
from mail2fax.spool.turned_away import Refusal


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (pause, resume, refused):
        app.command()(command)


def pause(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Stop sending, on all nodes of this spool: mail is accepted and prepared, and waits. See `resume`."""

    async def ask() -> None:
        async with the_spool(load(config_file)) as spool:
            await spool.change(operator.pause, who())

    asyncio.run(ask())
    tell({"paused": True}, "Sending is paused. What waits is sent after: mail2fax resume", as_json=as_json)


def resume(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Send again after a `pause`."""

    async def ask() -> None:
        async with the_spool(load(config_file)) as spool:
            await spool.hand_on(Work.SUBMIT, operator.resume)

    asyncio.run(ask())
    tell({"paused": False}, "Sending goes on.", as_json=as_json)


def refused(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Stands in sender, number, client or answer.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="How many at the most.")] = 50,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Mail that was refused at the door within the last seven days, newest first: who, for whom, and the answer."""
    settings = load(config_file)

    async def ask() -> list[tuple[int, Refusal]]:
        async with the_spool(settings) as spool:
            return await spool.read(turned_away.read, text, limit=limit)

    found = [refusal for _, refusal in asyncio.run(ask())]
    if as_json:
        print_json([_json(refusal) for refusal in found])
    else:
        _print(found, text, ZoneInfo(settings.reply.time_zone))


def _json(refusal: Refusal) -> dict[str, Any]:
    return {**asdict(refusal), "at": refusal.at.isoformat()}


def _print(found: Sequence[Refusal], text: str, zone: ZoneInfo) -> None:
    for one in found:
        login = f" as {one.user}" if one.user else ""
        at = one.at.astimezone(zone).isoformat(" ", "seconds")
        line = f"{at}  {one.sender or '-'} -> {one.recipient or '-'} ({one.client}{login})"
        out.print(f"{line}\n    {one.answer}", highlight=False, markup=False, soft_wrap=True)
    if not found:
        fits = f" that holds {text!r}" if text else ""
        say(f"No mail{fits} was refused within the last seven days.")
