"""The commands. Exit status 0: done; 1: failed; 2: wrong usage or settings."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mail2fax import __version__, log, spool
from mail2fax.cli import faxes, hints, owner, sending, trial
from mail2fax.cli.console import ConfigFile, Json, load, out, tell, tell_of_exposed, warn
from mail2fax.cli.setup.command import init
from mail2fax.config import files, loader, naming
from mail2fax.config.types import HOST_PORT
from mail2fax.model import Refused
from mail2fax.providers import SANDBOX_LISTEN, UnusableProvider
from mail2fax.rules.address import AddressError
from mail2fax.sandbox.scenarios import DEFAULT, SCENARIOS
from mail2fax.spool import Busy, SpoolUnavailable

if TYPE_CHECKING:
    from mail2fax.sandbox.server import Sandbox

_FAILED, _WRONG = 1, 2

app = typer.Typer(
    name="mail2fax",
    help="An email-to-fax bridge: mail a PDF to `4165550123@fax.local`, get a reply that says whether it arrived.",
    epilog=hints.typed("Try `mail2fax demo` first: it needs no settings and no fax line."),
    no_args_is_help=True,
    rich_markup_mode="markdown",  # in "rich", [smtp] would be a tag
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run a command; what goes wrong is told in one line that says the next step."""
    try:
        app()
    except loader.ConfigError as error:
        _end(_WRONG, *error.problems)
    except UnusableProvider as error:
        _end(_WRONG, str(error))
    except AddressError as error:
        _end(_FAILED, error.text)
    except (Refused, Busy) as error:
        _end(_FAILED, str(error))
    except SpoolUnavailable as error:
        _end(_FAILED, f"[spool] url: the database did not answer: {log.redact(str(error))}")
    except OSError as error:
        _end(_FAILED, log.redact(_in_words(error)))


def _in_words(error: OSError) -> str:
    """Without its number: "/spool/work-1: No space left on device"."""
    return ": ".join(str(word) for word in (error.filename, error.strerror or str(error)) if word)


def _end(status: int, *lines: str) -> None:
    for line in lines:
        warn(log.for_journal(f"mail2fax: {line}", "error"), style="red")
    sys.exit(status)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mail2fax {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and end.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Typer calls this before each command."""


def _magic_numbers() -> str:
    """What `sandbox --help` says below its options."""
    lines = [f"{number}  {scenario.what}" for number, scenario in SCENARIOS.items()]
    return "\n\n".join(["Numbers, and what they do:", *lines, DEFAULT.what])


@app.command()
def serve(
    config_file: ConfigFile = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Go on with a copied or restored spool; its original must be at rest.")
    ] = False,
) -> None:
    """Accept mail, fax it, reply: run until SIGTERM. SIGHUP reloads certificates and the users file."""
    from mail2fax import node  # noqa: PLC0415 -- the small commands start faster without it

    settings = load(config_file, serving=True)
    files.require(settings)
    tell_of_exposed(settings)
    asyncio.run(node.serve(settings, adopt=adopt))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running for your own mail client.")] = False,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Word the reply as these settings do: templates, languages, time zone. All else is the demo's own.",
        ),
    ] = None,
) -> None:
    """See it work: a real mail with a PDF goes through the whole bridge to the sandbox, and the reply comes back."""
    from mail2fax.cli import demo as show  # noqa: PLC0415

    words = loader.load(config_file, os.environ).reply if config_file else None
    with contextlib.suppress(asyncio.CancelledError):
        sys.exit(asyncio.run(show.run(out, words, keep=keep)))


@app.command(epilog=_magic_numbers())
def sandbox(
    listen: Annotated[str, typer.Option(help="Where to listen; port 0 takes a free one.")] = SANDBOX_LISTEN,
    instant: Annotated[
        bool, typer.Option("--instant", help="For load tests: every fax is a success at once, and none is kept.")
    ] = False,
    token: Annotated[list[str] | None, typer.Option(help="Accept only this token; may be given again.")] = None,
    hylafax: Annotated[str, typer.Option(help="Play HylaFAX's hfaxd too, there; such as 127.0.0.1:4559.")] = "",
    config_file: ConfigFile = None,
) -> None:
    """Serve the providers' APIs on this machine for trials: nothing is dialled, special numbers simulate failures.

    Point a bridge at it with [provider] name = "sandbox"; or with "sinch" and url = "http://127.0.0.1:8026", "telnyx"
    and "http://127.0.0.1:8026/v2", "hylafax" and "hylafax://127.0.0.1:4559". A page at / shows the faxes it was given.
    """
    from mail2fax.sandbox import server  # noqa: PLC0415

    for option, address in (("--listen", listen), ("--hylafax", hylafax)):
        if address and not HOST_PORT.fullmatch(address):
            raise typer.BadParameter(f"{option}: write host:port, such as {SANDBOX_LISTEN}")
    load(config_file, serving=True)
    asyncio.run(_until_stopped(server.serve(listen, instant=instant, tokens=frozenset(token or ())), hylafax))


async def _until_stopped(serving: "contextlib.AbstractAsyncContextManager[Sandbox]", hylafax: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        with naming("--listen"):
            running = await stack.enter_async_context(serving)
        out.print(f"The fax API is at {running.url}", highlight=False, soft_wrap=True)
        async with _hfaxd(running, hylafax):
            out.print(f"What it was given: {running.url.removesuffix('/api/fax')}/   Ctrl-C ends it.", highlight=False)
            await stopped.wait()


@contextlib.asynccontextmanager
async def _hfaxd(sandbox: "Sandbox", listen: str) -> AsyncIterator[None]:
    if not listen:
        yield
        return
    from mail2fax.sandbox import hylafax  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        with naming("--hylafax"):
            hfaxd = await stack.enter_async_context(hylafax.serve(sandbox, listen))
        out.print(f"HylaFAX is at hylafax://{hfaxd.address}", highlight=False)
        yield


@app.command()
def check(
    brief: Annotated[bool, typer.Option("--brief", help="Do not print the settings.")] = False,
    running: Annotated[
        bool, typer.Option("--running", help="Ask instead how the service is: a plugin for Nagios and its kin.")
    ] = False,
    late: Annotated[float, typer.Option(help="With --running: seconds a fax may wait without a warning.")] = 1800,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Print the settings in force, try everything they name, and say what is wrong and how to mend it.

    With --running: one line with figures, and exit status 0 when all is well, 1 for a warning, 2 when no fax goes out
    or no mail comes in, 3 when it cannot be told.
    """
    from mail2fax.cli import check as checks  # noqa: PLC0415

    if running:
        from mail2fax.cli import running as plugin  # noqa: PLC0415

        sys.exit(plugin.run(config_file, late, as_json=as_json))
    settings = load(config_file)
    tell_of_exposed(settings)
    if user := owner.become(settings):
        settings = load(config_file)  # once more: what root may read, the service may not
    findings = asyncio.run(checks.run(settings, user))
    checks.tell(settings, findings, brief=brief, as_json=as_json)
    if any(not finding.good for finding in findings):
        sys.exit(_FAILED)


@app.command()
def explain(  # noqa: PLR0913, PLR0917 -- each is an option of the command
    sender: Annotated[str, typer.Argument(help="The reverse-path, such as anna@office.example.")],
    recipient: Annotated[str, typer.Argument(help="The address, such as 6474959659@fax.local.")],
    file: Annotated[Path | None, typer.Argument(help="A mail, to see what would be faxed of it.", exists=True)] = None,
    client: Annotated[str, typer.Option(help="The client's address.")] = "127.0.0.1",
    user: Annotated[str, typer.Option(help="Who is logged in.")] = "",
    certificate: Annotated[
        str, typer.Option(metavar="NAME", help="A name in the client's TLS certificate, such as mail.office.example.")
    ] = "",
    preview: Annotated[
        Path | None, typer.Option(help="A folder for pictures of the pages as the other fax machine prints them.")
    ] = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say what would happen to a mail, and which rule decides it, without sending anything."""
    from mail2fax.cli import printing  # noqa: PLC0415
    from mail2fax.explain import explain as why  # noqa: PLC0415

    settings = load(config_file)
    found = why(settings, sender, recipient, client, user, file=file, preview=preview, certificate=certificate)
    printing.explanation(found, as_json=as_json)
    if not found.accepted:
        sys.exit(_FAILED)


@app.command()
def migrate(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Bring the spool's schema up to date. `serve` does so by itself."""
    before, after = spool.migrate(load(config_file))
    said = f"The schema is at {after} already." if before == after else f"Schema {before or '(none)'} -> {after}."
    tell({"before": before, "after": after}, said, as_json=as_json)


@app.command()
def passwd(
    name: Annotated[str, typer.Argument(help="The login name.")],
    senders: Annotated[
        str, typer.Option(help="Patterns of senders (reverse-paths) this user may use, comma-separated.")
    ] = "",
    roles: Annotated[str, typer.Option(help="Rights at the operator's page, of: look, act, documents.")] = "",
) -> None:
    """Make a line for [smtp] users_file; the password is asked for, or read from standard input."""
    from mail2fax.smtp import users  # noqa: PLC0415

    password = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    try:
        typer.echo(users.hash_line(name, password, _split(senders), _split(roles)))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _split(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _asked() -> str:
    # On standard error: what is printed goes into a file.
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


app.command()(init)
app.command("test")(trial.fax_test_page)
faxes.add_to(app)
sending.add_to(app)
