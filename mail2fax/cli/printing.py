"""How faxes look at the command line: tables for people, JSON for machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from mail2fax.cli.console import out, print_json
from mail2fax.cli.hints import typed
from mail2fax.explain import Explanation
from mail2fax.model import Event, Fax, Message, Part, State, jsonable
from mail2fax.rules.address import pretty
from mail2fax.rules.advice import came_of

_COLOURS = {State.DELIVERED: "green", State.FAILED: "red", State.UNKNOWN: "yellow", State.CANCELLED: "dim"}


@dataclass(frozen=True, slots=True)
class Whole:
    """All there is to say about one fax."""

    message: Message
    fax: Fax
    events: list[Event]
    advice: str = ""  # what to do about it


def state(one: Fax) -> str:
    """Where it is, with the provider's last word while it has the fax."""
    return f"{one.state} ({one.progress})" if one.state is State.SUBMITTED and one.progress else str(one.state)


def age(one: Fax) -> str:
    """How long it took, or has waited."""
    until = one.finished_at or one.now
    return _duration((until - one.received_at).total_seconds()) if until else ""


def histories(wholes: Sequence[Whole], zone: ZoneInfo, *, as_json: bool) -> None:
    """Everything about each of these faxes, with times in this zone."""
    if as_json:
        data = [whole(one) for one in wholes]
        print_json(data[0] if len(data) == 1 else data)
        return
    for one in wholes:
        _history(one, zone)


def _history(one: Whole, zone: ZoneInfo) -> None:
    out.print(_facts(one, zone))
    if one.message.parts:
        out.print(_parts(one.message.parts, one.fax.state))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("TIME", "AFTER", "EVENT", "WHO", "DETAIL"):
        table.add_column(column, overflow="fold")
    begun = one.events[0].at if one.events else one.fax.received_at
    for event in one.events:
        after = _duration((event.at - begun).total_seconds())
        said = ", ".join(f"{key}: {value}" for key, value in event.detail.items())
        table.add_row(
            _time(event.at.astimezone(zone), begun.astimezone(zone)),
            after,
            Text(event.what),
            Text(event.who),
            Text(said),
        )
    out.print(table)
    out.print()


def _facts(one: Whole, zone: ZoneInfo) -> Table:
    fax_, message = one.fax, one.message
    facts: dict[str, str | Text] = {
        "Fax": Text(f"{fax_.id}  {state(fax_)}", _COLOURS.get(fax_.state, "cyan")),
        "To": Text(f"{pretty(fax_.number)}  <{fax_.recipient}>"),
        "From": Text(f"<{message.envelope.reverse_path}> by {message.envelope.client} {message.envelope.user}".strip()),
        "Subject": Text(message.headers.subject),
        "Received": _when(fax_.received_at, zone),
        "Size": f"{message.size:,} bytes, sha256 {message.sha256[:16]}…",
        "Pages": str(fax_.pages or ""),
        "Line": fax_.line or "default",
        "Provider ref": Text(fax_.provider_ref),
        "Outcome": Text(" ".join(filter(None, (fax_.status, fax_.reason or "")))),
        "Held by": Text(fax_.held_by),
        "Retry of": fax_.retry_of,
        "Reply": f"{fax_.reply} {_when(fax_.replied_at, zone)}".strip(),
        "What to do": Text(typed(one.advice), "yellow"),
    }
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        if str(value):
            table.add_row(Text(name, "bold"), value)
    return table


def _parts(parts: Sequence[Part], state: State) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("PART", "KIND", "BYTES", "FATE", "WHY"):
        table.add_column(column, overflow="fold")
    for part in parts:
        pages = f"{part.pages} page{'s' * (part.pages != 1)}" if part.pages else ""
        why = ", ".join(filter(None, (part.reason or "", pages, *part.notes)))
        table.add_row(
            Text(part.name or "(no name)"), Text(part.kind), f"{part.size:,}", came_of(part, state), Text(why)
        )
    return table


def explanation(found: Explanation, *, as_json: bool) -> None:
    """What would happen to a mail, and which rule decides each step."""
    if as_json:
        steps = [{"what": s.what, "good": s.good, "said": s.said, "rule": s.rule, "when": s.when} for s in found.steps]
        number = found.recipient.number if found.recipient else None
        data = {"accepted": found.accepted, "number": number, "line": found.line, "reply_to": found.reply_to}
        print_json({**data, "steps": steps, "parts": [jsonable.part(part) for part in found.parts]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "STEP", "WHAT WOULD HAPPEN", "RULE"):
        table.add_column(column, overflow="fold")
    for step in found.steps:
        mark = Text("yes", "green") if step.good else Text("no", "bold red")
        said = f"at {step.when}: {step.said}" if step.when else step.said
        table.add_row(mark, step.what, Text(said), Text(step.rule, "dim"))
    out.print(table)
    if found.parts:
        out.print(_parts(found.parts, State.PREPARED))
    out.print("It would be faxed." if found.accepted else "It would not be faxed.", style="bold")


def whole(one: Whole) -> dict[str, Any]:
    """One fax with its mail, its parts and its history, for machines."""
    return {
        **jsonable.fax(one.fax),
        "message": jsonable.message(one.message),
        "parts": [jsonable.part(part) for part in one.message.parts],
        "events": [jsonable.event(event) for event in one.events],
    }


def _when(moment: datetime | None, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat(" ", "seconds") if moment else ""


def _time(moment: datetime, begun: datetime) -> str:
    """The time of day; the day too, once it is another one."""
    day = "" if moment.date() == begun.date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M:%S.%f}"[:-3]


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"
