"""`mail2fax list`: one fax a line, for eyes, grep and awk. The id is never cut, the sender never left out."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import typer
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mail2fax.cli import printing
from mail2fax.cli.console import out, print_json, say, warn
from mail2fax.model import Fax, State, jsonable
from mail2fax.rules.address import pretty
from mail2fax.spool.operator import Pause
from mail2fax.spool.questions import Trouble

_COLOURS = {State.DELIVERED: "green", State.FAILED: "red", State.UNKNOWN: "yellow"}
_GAP = "  "
_COLUMNS = ("ID", "RECEIVED", "FROM", "NUMBER", "PAGES", "STATE", "SINCE", "REPLY")
# What a narrow terminal does without, first to last.
_SPARED = ("REPLY", "SINCE", "PAGES", "RECEIVED")
_SHORTEST = {"FROM": 16, "STATE": 9}  # these columns may be cut, but not shorter


@dataclass(frozen=True, slots=True)
class Listed:
    """What was found."""

    faxes: Sequence[Fax]
    count: int  # how many there are, whatever the limit
    unknown: int  # and of these, how many wait for a person's word
    troubles: Sequence[Trouble]
    paused: Pause | None = None
    narrowed: bool = False  # only some were asked for


def show(found: Listed, zone: ZoneInfo, *, as_json: bool) -> None:
    """Print the faxes, with the fax lines that are shut above them, and below what is left to do and to see."""
    if as_json:
        print_json([jsonable.fax(one) for one in found.faxes])
        return
    times = Times(zone, datetime.now(zone), short=sys.stdout.isatty())
    if found.paused:
        since = times.written(found.paused.since)
        say(f"Sending is paused, by {found.paused.who} since {since}: see `mail2fax resume`.", style="yellow")
    for trouble in found.troubles:
        out.print(_trouble(trouble, times), soft_wrap=True)
    if not found.faxes:
        say("No fax fits." if found.narrowed else "No faxes. Send one: mail2fax send NUMBER FILE")
        return
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    typer.echo("\n".join(lines(found.faxes, times, room)), color=out.is_terminal and not out.no_color)
    for note in _notes(found):
        warn(note)


def _notes(found: Listed) -> Iterator[str]:
    if found.unknown:
        yield (
            f"{found.unknown:,} unknown: ask the recipients whether they have it, then say so: "
            "mail2fax resolve ID --delivered, --failed or --resend."
        )
    if found.count > len(found.faxes):
        yield f"{len(found.faxes):,} of {found.count:,}. More: --limit, or --before {found.faxes[-1].id}"


@dataclass(frozen=True, slots=True)
class Times:
    """How moments are written: short for a terminal, in full and without a blank for other programs."""

    zone: ZoneInfo
    now: datetime
    short: bool

    def written(self, moment: datetime) -> str:
        """One moment."""
        local = moment.astimezone(self.zone)
        if not self.short:
            return local.isoformat(timespec="seconds")
        if local.date() == self.now.date():
            return f"{local:%H:%M:%S}"
        return f"{local:%m-%d %H:%M}" if local.year == self.now.year else f"{local:%Y-%m-%d}"


def lines(faxes: Sequence[Fax], times: Times, room: int | None) -> Iterator[str]:
    """A heading and a line for each fax, in `room` characters if that can be; None: as wide as it takes."""
    rows = [dict(zip(_COLUMNS, _cells(one, times), strict=True)) for one in faxes]
    widths = _fitted({name: _widest(name, rows) for name in _COLUMNS}, room)
    yield typer.style(_GAP.join(_cut(name, width) for name, width in widths.items()).rstrip(), bold=True)
    for one, row in zip(faxes, rows, strict=True):
        colour = _COLOURS.get(one.state)
        cells = ((name, _cut(row[name], width)) for name, width in widths.items())
        yield _GAP.join(
            typer.style(cell, fg=colour) if colour and name == "STATE" else cell for name, cell in cells
        ).rstrip()


def _cells(one: Fax, times: Times) -> Iterable[str]:
    held = f" (held by {one.held_by})" if one.held_by else ""
    return (
        one.id,
        times.written(one.received_at),
        _printable(one.sender) or "<>",
        _number(one, times),
        "" if one.pages is None else str(one.pages),
        _printable(printing.state(one) + held),
        printing.age(one),
        one.reply or ("owed" if one.final else ""),
    )


def _number(one: Fax, times: Times) -> str:
    """What was typed, where no number was read: a line in a pipe has a word in each column."""
    if not one.number:
        return _printable(one.recipient.rpartition("@")[0]).replace(" ", "_") or "-"
    return pretty(one.number) if times.short else one.number


def _widest(name: str, rows: Sequence[dict[str, str]]) -> int:
    return max(len(name), *(cell_len(row[name]) for row in rows))


def _fitted(widths: dict[str, int], room: int | None) -> dict[str, int]:
    """Leave columns out, and shorten two, until a line fits or only what must be there is left."""
    shortened = widths
    for spared in ("", *_SPARED) if room else ():
        widths = {name: width for name, width in widths.items() if name != spared}
        over = sum(widths.values()) + len(_GAP) * (len(widths) - 1) - (room or 0)
        shortened = dict(widths)
        for name, least in _SHORTEST.items():
            spare = min(max(over, 0), max(widths[name] - least, 0))
            shortened[name] -= spare
            over -= spare
        if over <= 0:
            break
    return shortened


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, width - 1) + ("…" if out.encoding.lower().startswith("utf") else "~")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _trouble(one: Trouble, times: Times) -> Text:
    due = one.closed_until > times.now
    until = f"next try {times.written(one.closed_until)}" if due else "the next fax is the try"
    what = f"Line {one.line or 'default'} is in trouble ({one.kind}, {one.failures} in a row)"
    return Text(f"{what} since {times.written(one.since)}: {one.note}; {until}", "red")
