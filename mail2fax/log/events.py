"""Every event an operator may see is one function here, so that its words stand in one place.

Two nets keep secrets out: adapters never let one into a text, and `hide` blanks each known one in whatever is
written, in our own events and in those of the libraries.
"""

import contextlib
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from mail2fax.config.settings import Log
from mail2fax.model import Envelope, Receipt

Observer = Callable[[str, Mapping[str, Any]], None]
"""Is given each event's words and facts, whatever the level; from any thread."""

_secrets: set[str] = set()
_longest_first: list[str] = []  # a short secret inside a long one must not break it up
_SHORTEST = 4  # characters: blanking every "x" would hide nothing and make the log unreadable
_observers: list[Observer] = []
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}
_event: Any = structlog.get_logger("mail2fax")


def hide(secret: str) -> None:
    """From now on this text is blanked wherever it would be written."""
    if len(secret) >= _SHORTEST:
        _secrets.add(secret)
        _longest_first[:] = sorted(_secrets, key=len, reverse=True)


def redact(text: str) -> str:
    """The text with every known secret blanked."""
    for secret in _longest_first:
        if secret in text:
            text = text.replace(secret, "***")
    return text


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Let somebody count what happens, as long as the context lasts: no step needs to know of it."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def configure(settings: Log, stream: TextIO | None = None) -> None:
    """Send our events and the libraries' to one stream, in one form, through one filter."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
    ]
    out = stream or sys.stderr
    render = _renderer(settings, out)
    # Past the standard library's logging, which takes three quarters of an event's time (docs/performance.md).
    lines = _Lines(out)
    structlog.configure(
        processors=[_observe, _Threshold(settings.level), *shared, render],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),  # observers are told of every event
        cache_logger_on_first_use=False,
    )
    global _event  # noqa: PLW0603 -- a logger that is not bound is put together anew for every event
    _event = structlog.get_logger("mail2fax").bind()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # These print addresses, numbers, message lines or URLs with the token (measured): our own events say enough.
    for name in ("mail.log", "httpx", "httpcore", "aiosmtplib", "uvicorn", "uvicorn.access", "pikepdf", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(settings: Log, out: TextIO) -> Any:
    if settings.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    if out.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return _plain


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """What ConsoleRenderer writes without colours, in a tenth of its time."""
    exception = event.pop("exception", "")
    head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    line = " ".join([head, *(f"{key}={event[key]}" for key in sorted(event))])
    return f"{line}\n{exception}" if exception else line


class _Lines:
    """Writes lines. A log that cannot be written, for a full disk, must not undo what is being told."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def info(self, line: str) -> None:
        """One line, at once."""
        with contextlib.suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()

    debug = warning = error = exception = critical = info


class _Threshold:
    """Drops events that are less serious than this; observers have seen them already."""

    def __init__(self, level: str) -> None:
        self._least = _LEVELS[level]

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if _LEVELS[method] < self._least:
            raise structlog.DropEvent
        return event


def _observe(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for observer in _observers:
        with contextlib.suppress(Exception):  # a fax must not fail for being counted
            observer(event["event"], event)
    return event


def _clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank secrets; make control characters visible, so that no sender writes log lines of his own."""
    for key, value in event.items():
        if isinstance(value, str):
            line = redact(value)
            # What is printable holds no control character: most texts need no second look.
            shown = key == "exception" or line.isprintable()
            event[key] = line if shown else _CONTROL.sub(lambda m: ascii(m[0])[1:-1], line)
        elif not isinstance(value, int | float | bool | type(None)) and not key.startswith("_"):
            event[key] = redact(_CONTROL.sub(" ", str(value)))
    return event


# -- the node


def started(*, node: str, listening: list[str], spool: str, provider: str) -> None:
    """The first 220 can be had from now on."""
    _event.info("started", node=node, listening=" ".join(listening), spool=spool, provider=provider)


def stopping(*, signal: str, in_flight: int, at_most: float) -> None:
    """No new mail from now on; steps in flight have so many seconds to end."""
    _event.info("stopping", signal=signal, steps_in_flight=in_flight, seconds_at_most=at_most)


def stopped() -> None:
    """Everything was put down where another start finds it."""
    _event.info("stopped")


# -- the way of a fax


def prepared(*, fax: str, pages: int, seconds: float) -> None:
    """One document was made of the mail."""
    _event.info("prepared", fax=fax, pages=pages, seconds=round(seconds, 3))


def submitted(*, fax: str, number: str, ref: str, line: str) -> None:
    """The provider took the fax. The reference is written here too: a second record, should the spool be lost."""
    _event.info("submitted", fax=fax, number=number, ref=ref, line=line or "default")


def postponed(*, fax: str, note: str, seconds: float) -> None:
    """The provider did not take the fax; it is offered again."""
    _event.warning("not taken, trying again", fax=fax, note=note, seconds=round(seconds, 1))


def provider_answered(*, request: str, answer: str, seconds: float) -> None:
    """A request to the provider is over: what came of it, "taken", "status" or the reason of a verdict."""
    _event.debug("provider answered", request=request, answer=answer, seconds=round(seconds, 3))


def line_shut(*, line: str, kind: str, note: str, failures: int) -> None:
    """No fax of this line is offered for a while, but for one probe at a time."""
    say = _event.error if kind == "held" else _event.warning
    say("fax line shut", line=line or "default", kind=kind, note=note, failures=failures)


def line_open(*, line: str) -> None:
    """The provider takes faxes of this line again."""
    _event.info("fax line open again", line=line or "default")


def ended(*, fax: str, number: str, state: str, reason: str, seconds: float) -> None:
    """The outcome of a fax."""
    say = _event.info if state == "delivered" else _event.warning
    say(state, fax=fax, number=number, reason=reason, seconds=round(seconds, 1))


def progress(*, fax: str, word: str) -> None:
    """The provider has a new word for a fax."""
    _event.debug("progress", fax=fax, word=word)


def odd_word(*, fax: str, word: str) -> None:
    """The provider says something its document does not name; the fax is looked at again."""
    _event.warning("unknown status word", fax=fax, word=word)


def poll_failed(*, fax: str, note: str) -> None:
    """The status could not be had; it is asked for again."""
    _event.warning("no status", fax=fax, note=note)


def replied(*, fax: str, recipient: str, outcome: str, seconds: float) -> None:
    """The smarthost took the reply, so many seconds after the mail was accepted."""
    _event.info("replied", fax=fax, recipient=recipient, outcome=outcome, seconds=round(seconds, 1))


def reply_suppressed(*, fax: str, why: str) -> None:
    """Nobody wants or may have a reply."""
    _event.info("no reply wanted", fax=fax, why=why)


def reply_postponed(*, fax: str, note: str, seconds: float) -> None:
    """The smarthost did not take the reply; it is offered again."""
    _event.warning("reply not taken, trying again", fax=fax, note=note, seconds=round(seconds, 1))


def reply_undeliverable(*, fax: str, recipient: str, note: str) -> None:
    """The sender cannot be told."""
    _event.error("reply undeliverable", fax=fax, recipient=recipient, note=note)


def delayed(*, fax: str) -> None:
    """The sender is told that a fax still waits."""
    _event.info("still trying", fax=fax)


def lease_lost(*, fax: str) -> None:
    """Somebody else acts on this fax now: what we did is not written."""
    _event.warning("lease lost", fax=fax)


def step_failed(*, fax: str, state: str, attempts: int) -> None:
    """A step ended in an error of our own; the traceback follows, the fax is tried again."""
    _event.exception("step failed", fax=fax, state=state, attempts=attempts)


def spool_failed(*, work: str) -> None:
    """The database did not answer; it is asked again."""
    _event.exception("spool failed", work=work)


def drained(*, fax: str) -> None:
    """A step was cut short by the shutdown; the fax was put back."""
    _event.info("put back", fax=fax)


def withdrawn(*, mail: str) -> None:
    """A mail did not get on disk: its client heard of no 250, and will send it again."""
    _event.warning("withdrawn: not on disk, and promised to nobody", mail=mail)


def unsafe(*, file: str, error: BaseException) -> None:
    """What a crash left cannot be brought on disk: it is worked on, and its repeats are deferred."""
    _event.error("not safe: the disk does not take it", file=file, error=str(error))


def not_overwritten(*, segment: str, error: BaseException) -> None:
    """A deleted mail's bytes stay until the file that it shares with others goes."""
    _event.error("not overwritten", segment=segment, error=str(error))


def purged(*, contents: int, histories: int) -> None:
    """What was kept long enough is deleted."""
    _event.info("purged", contents=contents, histories=histories)


# -- documents


def worker_ended(*, folder: str, how: str, trace: str, again: bool) -> None:
    """A worker ended without an answer: a hostile or broken file, too small limits, or an operator's kill."""
    _event.warning("worker ended", folder=folder, how=how, trace=trace[:2000], trying_again=again)


# -- logins


def users_file_readable(*, file: str) -> None:
    """Password hashes are open to everyone on this machine."""
    _event.warning("users file is readable by everyone: chmod 600", file=file)


# -- the front door


def accepted(*, receipt: Receipt, envelope: Envelope, size: int, seconds: float) -> None:
    """A mail is on disk, after so many seconds, and its client was told so; from here on it is ours."""
    _event.info(
        "accepted",
        id=receipt.queue_id,
        client=envelope.client,
        user=envelope.user,
        sender=envelope.reverse_path,
        recipients=" ".join(recipient.address for recipient in envelope.recipients),
        size=size,
        duplicates=len(receipt.duplicates),
        seconds=round(seconds, 4),
    )


def accepted_for_postmaster(*, queue_id: str, client: str, sender: str) -> None:
    """A mail to postmaster will be forwarded."""
    _event.info("accepted for postmaster", id=queue_id, client=client, sender=sender)


def answered(*, fax: str, action: str, now: str, sender: str, client: str) -> None:
    """The sender asked by answering a reply, and it was done."""
    _event.info("answered", fax=fax, action=action, now=now, sender=sender, client=client)


def refused(*, answer: str, client: str, user: str, sender: str | None, recipient: str) -> None:
    """A command was answered no; the answer's first words are the codes."""
    _event.info("refused", answer=answer, client=client, user=user, sender=sender, recipient=recipient)


def not_accepted(*, client: str, sender: str, error: Exception) -> None:
    """A mail could not be made durable: its client keeps it and tries again."""
    if isinstance(error, OSError):  # the disk: what it says is all there is to know
        _event.error("not accepted", client=client, sender=sender, error=str(error))
    else:
        _event.error("not accepted", client=client, sender=sender, exc_info=error)


def session_failed(*, client: str, error: BaseException) -> None:
    """An error of our own in a session; the client was told to try again."""
    _event.error("session failed", client=client, exc_info=error)


def turned_away(*, client: str, answer: str) -> None:
    """A connection was not let in."""
    _event.warning("turned away", client=client, answer=answer)


def dismissed(*, client: str, answer: str) -> None:
    """A session was ended by us, for what its client did."""
    _event.info("dismissed", client=client, answer=answer)


def client_vanished(*, client: str) -> None:
    """The client closed its connection in the middle of something."""
    _event.debug("client vanished", client=client)


def login_failed(*, client: str, name: str) -> None:
    """A wrong user or password."""
    _event.warning("login failed", client=client, name=name)


def login_refused(*, client: str, name: str) -> None:
    """Too many wrong passwords lately: this one was not even looked at."""
    _event.warning("login refused, too many failures", client=client, name=name)


def reloaded() -> None:
    """Certificate and users file were read anew."""
    _event.info("reloaded")


def not_reloaded(*, what: str, problem: str) -> None:
    """The certificate or the users file could not be read anew: what was read before stays."""
    _event.error("not reloaded", what=what, problem=problem)


# -- replies


def template_broken(*, template: str, folder: str, problem: str) -> None:
    """A template of the administrator's failed; the shipped one spoke in its place."""
    _event.error("template broken, the shipped one was used", template=template, folder=folder, problem=problem)
