"""The command `mail2fax init`: it asks for what was not given, writes, and ends in a check."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from mail2fax.cli import hints
from mail2fax.cli.console import INSTALLED, ConfigFile, say, warn
from mail2fax.cli.setup import answers, files, in_front
from mail2fax.config import Reply, loader, types
from mail2fax.model import Refused

_DOMAIN = "Domain of the fax addresses, such as fax.office.example"
_PROVIDER = f"Fax provider ({types.PROVIDERS}; sandbox faxes nothing)"
_KEYLESS = frozenset({"sandbox", "hylafax"})  # providers that may do without a token
_ACCOUNTS = {"sinch": "Project id at Sinch", "telnyx": "Connection id at Telnyx"}

Token = Annotated[
    Path | None, typer.Option(help="A file with the fax line's token. Without it the token is asked for.", exists=True)
]
Password = Annotated[Path | None, typer.Option(help="A file with that person's password.", exists=True)]
More = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="What only this provider has; may be given again.")
]


def init(  # noqa: PLR0913, PLR0917 -- each is an option of the command
    domain: Annotated[str, typer.Option(help="Mail to NUMBER@ it is faxed, such as fax.office.example.")] = "",
    relay: Annotated[str, typer.Option(help="The mail server: HOST, HOST:PORT or smtp+starttls://HOST:587.")] = "",
    senders: Annotated[str, typer.Option(help="Who may fax: patterns such as *@office.example, comma-separated.")] = "",
    reply_from: Annotated[str, typer.Option(help="From of the replies, a mailbox that a person reads.")] = "",
    admin: Annotated[str, typer.Option(help="Who is told of trouble.")] = "",
    provider: Annotated[
        str, typer.Option(help="rinble, sinch, telnyx or hylafax; sandbox tries everything and faxes nothing.")
    ] = "",
    url: Annotated[str, typer.Option(help="Where the provider is, if not at its usual address.")] = "",
    account: Annotated[str, typer.Option(help="What the provider calls the account.")] = "",
    from_number: Annotated[str, typer.Option(help="The number faxes come from, where the provider asks.")] = "",
    provider_option: More = None,
    token_file: Token = None,
    time_zone: Annotated[str, typer.Option(help="Of the times in replies; else this machine's.")] = "",
    user: Annotated[str, typer.Option(help="Who may use the operator's page; none without it.")] = "",
    password_file: Password = None,
    server: Annotated[str, typer.Option(help="Print the lines for postfix, exim, or other.")] = "postfix",
    config_file: ConfigFile = None,
) -> None:
    """Set mail2fax up: settings, token, and as root the service's user, folder and unit; then check all of it.

    Asks for what the options do not say. Writes below /etc/mail2fax as root, or where --config says, and never over
    what is there.
    """
    place = _place(config_file)
    files.refuse_existing(place)
    _check_server(server)
    _check_user(user)
    domain = _asked(domain, _DOMAIN, option="--domain", fits=_as(types.Domain))
    home, mailbox = answers.home(domain), _as(types.Mailbox)
    provider = _asked(provider, _PROVIDER, "rinble", option="--provider", fits=_as(types.ProviderName))
    of_it = _of_the_provider(provider, account, from_number, _pairs(provider_option or ()))
    relay = _asked(relay, "Mail server that takes the replies", "127.0.0.1:25", option="--relay", fits=_relay)
    told = answers.Answers(
        domain=domain,
        relay=relay,
        clients=answers.clients(relay),
        senders=_split(_asked(senders, "Who may fax", f"*@{home}", option="--senders", fits=_patterns)),
        reply_from=_asked(reply_from, "From of the replies", f"Fax <fax@{home}>", option="--reply-from", fits=mailbox),
        admin=_asked(admin, "Who is told of trouble", f"postmaster@{home}", option="--admin", fits=mailbox),
        provider=provider,
        spool=place.spool,
        url=url,
        **of_it,
        time_zone=_as(types.Zone)(time_zone) if time_zone else answers.machine_zone(),
        user=user,
        token=_secret(token_file, "--token-file", f"Token for {provider}", optional=provider in _KEYLESS),
        password=_secret(password_file, "--password-file", f"Password of {user}", new=True) if user else "",
    )
    _write(place, told, server)
    _check(place)


def _of_the_provider(provider: str, account: str, from_number: str, options: dict[str, str]) -> dict[str, Any]:
    """What only some of them need, asked where they do."""
    if provider in _ACCOUNTS:
        account = _asked(account, _ACCOUNTS[provider], option="--account")
    if provider == "telnyx":
        number = _as(types.OwnNumber)
        from_number = _asked(from_number, "Number that faxes come from", option="--from-number", fits=number)
    if provider == "sinch":
        options["key"] = _asked(options.get("key", ""), "Id of the access key", option="--provider-option key=ID")
    return {"account": account, "from_number": from_number, "options": options}


def _place(config: Path | None) -> files.Place:
    installed = config in {None, INSTALLED}
    if installed and os.geteuid() != 0:
        raise Refused(f"{INSTALLED.parent} belongs to root: use sudo, or name another file with --config")
    return files.Place(config or INSTALLED, installed)


def _asked(given: str, question: str, default: str = "", *, option: str, fits: Callable[[str], str] = str.strip) -> str:
    """What was given, or what is typed, or without a terminal the default; each as `fits` returns it.

    `fits` raises ValueError or Refused, in words, for what cannot be: then it is asked again at once.
    """
    if not given and sys.stdin.isatty():
        return _typed(question, default, fits)
    if not (given or default):
        raise typer.BadParameter(f"say {option}: nobody is here to ask")
    try:
        return fits(given or default)
    except (ValueError, Refused) as no:
        raise typer.BadParameter(f"{option}: {no}") from None


def _typed(question: str, default: str, fits: Callable[[str], str]) -> str:
    while True:
        answer: str = typer.prompt(question, default=default or None, err=True)
        try:
            return fits(answer.strip())
        except (ValueError, Refused) as no:
            warn(f"  {no}", style="red")


def _as(kind: Any) -> Callable[[str], str]:
    """What the settings take for this kind of value."""
    known: TypeAdapter[str] = TypeAdapter(kind)

    def fits(text: str) -> str:
        try:
            return known.validate_python(text)
        except ValidationError as error:
            raise _in_words(error, text) from None

    return fits


def _in_words(error: ValidationError, text: str) -> ValueError:
    said = str(error.errors()[0]["ctx"]["error"])
    return ValueError(f"{said}, not {text!r}" if said.startswith("write") else f"{text!r} {said}")


def _relay(text: str) -> str:
    url = answers.relay_url(text)
    try:
        Reply(relay=url)
    except ValidationError as error:
        raise _in_words(error, text) from None
    answers.clients(url)
    return url


def _patterns(text: str) -> str:
    for one in _split(text):
        _as(types.Pattern)(one)
    return text


def _split(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _secret(file: Path | None, option: str, question: str, *, optional: bool = False, new: bool = False) -> str:
    """What the file holds, or what is typed: twice, if it is `new`, made up here."""
    if file:
        return _read(file, option)
    if optional:
        return ""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"say {option}: nobody is here to ask")
    answer: str = typer.prompt(question, hide_input=True, confirmation_prompt=new, err=True)
    return answer.strip()


def _read(file: Path, option: str) -> str:
    try:
        return loader.read_secret(file)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _check_server(name: str) -> None:
    if name not in {*in_front.SERVERS, "other"}:
        raise typer.BadParameter(f"--server: write {', '.join(in_front.SERVERS)} or other, not {name!r}")


def _check_user(name: str) -> None:
    from mail2fax.smtp import users  # noqa: PLC0415

    if name:
        try:
            users.check_name(name)
        except ValueError as error:
            raise typer.BadParameter(f"--user: {error}") from None


def _pairs(words: tuple[str, ...] | list[str]) -> dict[str, str]:
    pairs = dict(word.partition("=")[::2] for word in words)
    if "" in pairs.values():
        raise typer.BadParameter("write --provider-option KEY=VALUE")
    return pairs


def _write(place: files.Place, told: answers.Answers, server: str) -> None:
    texts = {place.config.name if name == "mail2fax.toml" else name: text for name, text in told.files.items()}
    for line in files.write(place, texts | {"users": _users(told)}):
        say(line)
    say(f"\n{in_front.lines(told, server)}")
    if warning := in_front.warning(told):
        warn(f"{warning}\n")


def _users(told: answers.Answers) -> str:
    if not told.user:
        return ""
    from mail2fax.smtp import users  # noqa: PLC0415

    try:
        return users.hash_line(told.user, told.password, (), ("act", "documents")) + "\n"
    except ValueError as error:
        raise typer.BadParameter(f"--password-file: {error}") from None


def _check(place: files.Place) -> None:
    """Try all of it in a process of its own: it goes on as the service's user, and the settings are read anew."""
    warn("mail2fax check:")
    words = [str(files.program()), "check", "--brief", "--config", str(place.config)]
    status = os.spawnv(os.P_WAIT, words[0], words)  # noqa: S606 -- our own program
    hints.remember(None if place.installed else place.config)
    run = "systemctl enable --now mail2fax" if place.installed else "mail2fax serve"
    say(
        f"\nNext: {run}, then mail2fax test NUMBER"
        if status == 0
        else "\nMend what failed, then: mail2fax check; the settings are written, and need not be made again."
    )
    if status:
        sys.exit(1)
