"""The commands about faxes: look, send, and the operator's hold, release, retry, resolve, cancel and purge."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from mail2fax.cli.console import ConfigFile, FaxId, Json, load, tell, the_spool, warn, who
from mail2fax.config import Settings
from mail2fax.model import Reason, State
from mail2fax.rules.address import parse
from mail2fax.rules.advice import advice
from mail2fax.spool import Spool, Work, is_served, operator, questions, search

if TYPE_CHECKING:
    from mail2fax.cli.printing import Whole

_COUNTED = 1_000_000  # faxes that `list` counts, at the most

Sender = Annotated[str, typer.Option(help="Every waiting fax of this sender (reverse-path).")]
Everyone = Annotated[bool, typer.Option("--all", help="Every waiting fax.")]
SomeFax = Annotated[str, typer.Argument(metavar="ID", help="A queue id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_)
    for command in (show, send, retry, resolve, cancel, hold, release, purge):
        app.command()(command)


def list_(
    state: Annotated[list[State] | None, typer.Option(help="Only in this state; may be given again.")] = None,
    sender: Annotated[str, typer.Option(help="Only from this sender (reverse-path).")] = "",
    number: Annotated[str, typer.Option(help="Only to this number.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at the most.")] = 50,
    before: Annotated[str, typer.Option(metavar="ID", help="Only older than this fax, for the next page.")] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Faxes, newest first: where each is, and how it ended."""
    from mail2fax.cli import listing  # noqa: PLC0415 -- `serve` prints no tables

    settings = load(config_file)
    digits = parse(number, settings.numbers.country).number if number else ""
    wanted = search.Search(tuple(state or ()), sender, digits)
    unknown = replace(wanted, states=(State.UNKNOWN,))

    async def ask() -> listing.Listed:
        async with the_spool(settings) as spool:
            last = (await spool.read(questions.named, before))[0].id if before else ""
            return listing.Listed(
                await spool.read(search.found, wanted, before=last, limit=limit),
                await spool.read(search.counted, wanted, most=_COUNTED),
                await spool.read(search.counted, unknown, most=_COUNTED) if not state or State.UNKNOWN in state else 0,
                await spool.read(questions.trouble_list),
                await spool.read(operator.paused),
                narrowed=bool(state or sender or number or before),
            )

    listing.show(asyncio.run(ask()), ZoneInfo(settings.reply.time_zone), as_json=as_json)


def show(fax_id: FaxId, config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Everything about one fax, or about all faxes of one mail: what to do, and the whole history, with times."""
    from mail2fax.cli import printing  # noqa: PLC0415

    settings = load(config_file)

    async def ask() -> "list[Whole]":
        async with the_spool(settings) as spool:
            found = await spool.read(questions.named, fax_id)
            message = await spool.message(found[0].message_id)
            shut = {trouble.line: trouble.note for trouble in await spool.read(questions.trouble_list)}
            paused = await _paused_by(spool)
            todo = {fax.id: advice(fax, shut.get(fax.line, ""), paused) for fax in found}
            return [
                printing.Whole(message, fax, await spool.read(questions.history, fax.id), todo[fax.id]) for fax in found
            ]

    printing.histories(asyncio.run(ask()), ZoneInfo(settings.reply.time_zone), as_json=as_json)


def send(
    number: Annotated[str, typer.Argument(help="The fax number.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What to fax, in order.", exists=True)],
    sender: Annotated[str, typer.Option(help="Who gets the reply.")] = "",
    subject: Annotated[str, typer.Option(help="Subject of the reply.")] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Fax files from the shell: through the same rules and the same spool as a mail. `serve` does the rest."""
    from mail2fax.cli import send as shell  # noqa: PLC0415

    settings = load(config_file)
    attachments = [(file.name, file.read_bytes()) for file in files]  # now: as the spool's owner we might not

    async def put() -> tuple[str, str]:
        async with the_spool(settings) as spool:
            receipt = await shell.send(settings, spool, number, attachments, sender=sender, subject=subject)
            return receipt.queue_id, await _paused_by(spool)

    name, paused = asyncio.run(put())
    tell({"queue_id": name}, f"Accepted as {name}. See: mail2fax show {name}", as_json=as_json)
    _tell_what_waits(settings, paused)


async def _paused_by(spool: Spool) -> str:
    """Who paused sending; "" if nobody did."""
    paused = await spool.read(operator.paused)
    return paused.who if paused else ""


def _tell_what_waits(settings: Settings, paused_by: str) -> None:
    """Say so when nobody is there to do the rest, or may. Of a database's nodes nothing is known here."""
    if not is_served(settings):
        warn("No `mail2fax serve` runs on this spool now: sending begins once one does.")
    if paused_by:
        warn(f"Sending is paused, by {paused_by}: sending begins after `mail2fax resume`.")


def retry(
    fax_id: FaxId,
    number: Annotated[str, typer.Option(help="Send it to this number instead.")] = "",
    sure: Annotated[
        bool, typer.Option("--sure", help="Do not ask or warn when nobody knows whether it arrived.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also when it was sent again already: then both may arrive.")
    ] = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Send a failed, unknown or cancelled fax again: a new fax of the same document, linked to the old one."""
    from mail2fax.cli import send as shell  # noqa: PLC0415
    from mail2fax.rules.policy import Policy  # noqa: PLC0415

    settings = load(config_file)

    async def ask() -> tuple[str, str]:
        async with the_spool(settings) as spool:
            policy = Policy(settings)
            digits = shell.allowed(settings, policy, number).number if number else ""
            fax = await spool.read(operator.may_retry, fax_id, digits, again=again)
            if not sure and fax["state"] == State.UNKNOWN and digits in {"", fax["number"]}:
                _doubt(fax["id"])
            line = policy.line(fax["sender"], digits)
            fresh = await spool.hand_on(Work.SUBMIT, operator.retry, fax_id, who(), digits, line, again=again)
            return fresh, await _paused_by(spool)

    fresh, paused = asyncio.run(ask())
    tell({"fax": fresh, "retry_of": fax_id.upper()}, f"Sending again as {fresh}.", as_json=as_json)
    _tell_what_waits(settings, paused)


def _doubt(fax_id: str) -> None:
    """Ask a person, or tell a program, before one that perhaps arrived at this number is sent there again."""
    warn(
        f"{fax_id} is unknown: it may have arrived, and would arrive twice. Once the recipient says that it did not, "
        f"`mail2fax resolve {fax_id} --resend` is the way."
    )
    if sys.stdin.isatty():
        typer.confirm("Send it again all the same?", abort=True, err=True)


def resolve(
    fax_id: FaxId,
    delivered: Annotated[bool, typer.Option("--delivered", help="The recipient has it.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It did not arrive.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="It did not arrive: send it again.")] = False,
    reference: Annotated[
        str, typer.Option(metavar="REF", help="The provider has it under this reference: go on asking how it ends.")
    ] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say how an unknown fax ended, once you found out. The sender is told."""
    if delivered + failed + resend + bool(reference) != 1:
        raise typer.BadParameter("say one of --delivered, --failed, --resend and --reference REF")

    settings = load(config_file)

    async def ask() -> tuple[str, State, str]:
        async with the_spool(settings) as spool:
            if reference:
                name = await spool.hand_on(Work.POLL, operator.follow, fax_id, reference, who())
                return name, State.SUBMITTED, ""
            if resend:
                name = await spool.hand_on(Work.SUBMIT, operator.resend, fax_id, who())
                return name, State.PREPARED, await _paused_by(spool)
            state = State.DELIVERED if delivered else State.FAILED
            return await spool.hand_on(Work.REPLY, operator.resolve, fax_id, state, who()), state, ""

    name, state, paused = asyncio.run(ask())
    said = f"Sending again as {name}." if resend else f"{name} is {state}."
    tell({"fax": name, "state": state}, said, as_json=as_json)
    if resend:
        _tell_what_waits(settings, paused)


def cancel(fax_id: FaxId, config_file: ConfigFile = None, as_json: Json = False) -> None:
    """End a fax, or ask the provider to stop one that it has, if it knows how. The sender is told."""

    async def ask() -> tuple[str, State]:
        async with the_spool(load(config_file)) as spool:
            if fax := await spool.change(operator.at_provider, fax_id):
                from mail2fax.cli import stop  # noqa: PLC0415 -- adapters take a moment to load

                await stop.ask(spool, fax, who())
                return fax.id, fax.state
            name = await spool.hand_on(Work.REPLY, operator.cancel, fax_id, who(), Reason.CANCELLED_BY_OPERATOR)
            return name, State.CANCELLED

    name, state = asyncio.run(ask())
    asked = f"The provider was asked to stop {name}: `mail2fax show {name}` tells what came of it."
    said = f"{name} is cancelled." if state is State.CANCELLED else asked
    tell({"fax": name, "state": state}, said, as_json=as_json)


def hold(
    fax_id: SomeFax = "",
    sender: Sender = "",
    everyone: Everyone = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Keep faxes from being submitted until they are released: one, a sender's, or all that wait now."""
    _one_of(fax_id, sender, everyone)

    async def ask(spool: Spool) -> Sequence[str]:
        return await spool.change(operator.hold, operator.waiting(fax_id, sender), who())

    _change_all("held", ask, config_file, as_json=as_json)


def release(
    fax_id: SomeFax = "",
    sender: Sender = "",
    everyone: Everyone = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Let held faxes go on: one, a sender's, or all."""
    _one_of(fax_id, sender, everyone)

    async def ask(spool: Spool) -> Sequence[str]:
        return await spool.hand_on(Work.SUBMIT, operator.release, operator.waiting(fax_id, sender), who())

    _change_all("released", ask, config_file, as_json=as_json)


def purge(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Delete now what is older than [documents] keep_days and history_days. `serve` does so every hour."""

    async def ask() -> tuple[int, int]:
        async with the_spool(load(config_file)) as spool:
            return await spool.purge()

    contents, histories = asyncio.run(ask())
    said = f"Deleted the documents of {contents} mails and the history of {histories}."
    tell({"contents": contents, "histories": histories}, said, as_json=as_json)


def _one_of(fax_id: str, sender: str, everyone: bool) -> None:
    if bool(fax_id) + bool(sender) + everyone != 1:
        raise typer.BadParameter("say one of ID, --sender and --all")


def _change_all(
    what: str, ask: Callable[[Spool], Awaitable[Sequence[str]]], config_file: Path | None, *, as_json: bool
) -> None:
    settings = load(config_file)

    async def answer() -> tuple[Sequence[str], int, str]:
        async with the_spool(settings) as spool:
            return await ask(spool), await spool.read(questions.at_provider), await _paused_by(spool)

    changed, beyond, paused = asyncio.run(answer())
    tell({what: list(changed)}, _said(what, changed, beyond), as_json=as_json)
    if not changed:
        sys.exit(1)
    if what == "released":
        _tell_what_waits(settings, paused)


def _said(what: str, changed: Sequence[str], beyond: int) -> str:
    if changed:
        return f"{len(changed)} {what}: {' '.join(changed)}"
    polled = f"; {beyond} at the provider already, only their outcome is still asked for" if beyond else ""
    return f"Nothing {what}: no fax that waits fits{polled}."
