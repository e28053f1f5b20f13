"""The commands about faxes: look, send, and the operator's hold, release, retry, resolve, cancel and purge."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mail2fax.cli.console import ConfigFile, FaxId, Json, load, tell, the_spool, who
from mail2fax.model import Reason, State
from mail2fax.rules.address import parse
from mail2fax.spool import Work, operator, questions

if TYPE_CHECKING:
    from mail2fax.cli.printing import Whole

Sender = Annotated[str, typer.Option(help="All of this reverse-path's.")]
Everyone = Annotated[bool, typer.Option("--all", help="All that wait.")]
SomeFax = Annotated[str, typer.Argument(metavar="[ID]", help="A queue id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_)
    for command in (show, send, retry, resolve, cancel, hold, release, purge):
        app.command()(command)


def list_(
    state: Annotated[list[State] | None, typer.Option(help="Only in this state; may be given again.")] = None,
    sender: Annotated[str, typer.Option(help="Only this reverse-path's.")] = "",
    number: Annotated[str, typer.Option(help="Only those to this number.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at the most.")] = 50,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Faxes, newest first: where each is, and how it ended."""
    from mail2fax.cli import printing  # noqa: PLC0415 -- `serve` prints no tables

    async def ask() -> tuple[Any, Any]:
        async with the_spool(config_file) as spool:
            wanted = questions.Wanted(tuple(state or ()), sender, parse(number).number if number else "", limit)
            return await spool.read(questions.fax_list, wanted), await spool.read(questions.trouble_list)

    found, troubles = asyncio.run(ask())
    printing.fax_list(found, troubles, as_json=as_json)


def show(fax_id: FaxId, config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Everything about one fax, or about all faxes of one mail: the whole history, with times."""
    from mail2fax.cli import printing  # noqa: PLC0415

    async def ask() -> "list[Whole]":
        async with the_spool(config_file) as spool:
            found = await spool.read(questions.named, fax_id)
            message = await spool.message(found[0].message_id)
            return [printing.Whole(message, fax, await spool.read(questions.history, fax.id)) for fax in found]

    printing.histories(asyncio.run(ask()), as_json=as_json)


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

    async def put() -> Any:
        settings = load(config_file)
        async with the_spool(config_file, make=True) as spool:
            return await shell.send(settings, spool, number, files, sender=sender, subject=subject)

    receipt = asyncio.run(put())
    said = f"Accepted as {receipt.queue_id}. See: mail2fax show {receipt.queue_id}"
    tell({"queue_id": receipt.queue_id}, said, as_json=as_json)


def retry(
    fax_id: FaxId,
    number: Annotated[str, typer.Option(help="Send it to this number instead.")] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Send a failed, unknown or cancelled fax again: a new fax of the same document, linked to the old one."""
    from mail2fax.cli import send as shell  # noqa: PLC0415
    from mail2fax.rules.policy import Policy  # noqa: PLC0415

    async def ask() -> str:
        async with the_spool(config_file) as spool:
            digits = shell.allowed(spool.settings, Policy(spool.settings), number).number if number else ""
            return await spool.hand_on(Work.SUBMIT, operator.retry, fax_id, who(), digits)

    fresh = asyncio.run(ask())
    tell({"fax": fresh, "retry_of": fax_id.upper()}, f"Sending again as {fresh}.", as_json=as_json)


def resolve(
    fax_id: FaxId,
    delivered: Annotated[bool, typer.Option("--delivered", help="The recipient has it.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="It did not arrive.")] = False,
    resend: Annotated[bool, typer.Option("--resend", help="It did not arrive: send it again.")] = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say how an unknown fax ended, once you found out. The sender is told."""
    if delivered + failed + resend != 1:
        raise typer.BadParameter("say one of --delivered, --failed and --resend")

    async def ask() -> dict[str, str]:
        async with the_spool(config_file) as spool:
            if resend:
                return {"fax": await spool.hand_on(Work.SUBMIT, operator.resend, fax_id, who()), "state": "prepared"}
            state = State.DELIVERED if delivered else State.FAILED
            return {"fax": await spool.hand_on(Work.REPLY, operator.resolve, fax_id, state, who()), "state": state}

    answer = asyncio.run(ask())
    tell(answer, f"{answer['fax']} is {answer['state']}.", as_json=as_json)


def cancel(fax_id: FaxId, config_file: ConfigFile = None, as_json: Json = False) -> None:
    """End a fax that was not handed to the provider yet. The sender is told."""

    async def ask() -> str:
        async with the_spool(config_file) as spool:
            return await spool.hand_on(Work.REPLY, operator.cancel, fax_id, who(), Reason.CANCELLED_BY_OPERATOR)

    name = asyncio.run(ask())
    tell({"fax": name, "state": "cancelled"}, f"{name} is cancelled.", as_json=as_json)


def hold(
    fax_id: SomeFax = "",
    sender: Sender = "",
    everyone: Everyone = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Keep faxes from being submitted until they are released: one, a sender's, or all that wait now."""
    _one_of(fax_id, sender, everyone)

    async def ask() -> Sequence[str]:
        async with the_spool(config_file) as spool:
            return await spool.change(operator.hold, operator.waiting(fax_id, sender), who())

    _tell_all("held", asyncio.run(ask()), as_json=as_json)


def release(
    fax_id: SomeFax = "",
    sender: Sender = "",
    everyone: Everyone = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Let held faxes go on: one, a sender's, or all."""
    _one_of(fax_id, sender, everyone)

    async def ask() -> Sequence[str]:
        async with the_spool(config_file) as spool:
            return await spool.hand_on(Work.SUBMIT, operator.release, operator.waiting(fax_id, sender), who())

    _tell_all("released", asyncio.run(ask()), as_json=as_json)


def purge(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Delete what was kept long enough now ([documents] keep_days, history_days). `serve` does so every hour."""

    async def ask() -> tuple[int, int]:
        async with the_spool(config_file) as spool:
            return await spool.purge()

    contents, histories = asyncio.run(ask())
    said = f"Deleted the documents of {contents} mails and the history of {histories}."
    tell({"contents": contents, "histories": histories}, said, as_json=as_json)


def _one_of(fax_id: str, sender: str, everyone: bool) -> None:
    if bool(fax_id) + bool(sender) + everyone != 1:
        raise typer.BadParameter("say one of ID, --sender and --all")


def _tell_all(what: str, changed: Sequence[str], *, as_json: bool) -> None:
    tell(
        {what: list(changed)},
        f"{len(changed)} {what}: {' '.join(changed)}" if changed else f"Nothing {what}.",
        as_json=as_json,
    )
    if not changed:
        sys.exit(1)
