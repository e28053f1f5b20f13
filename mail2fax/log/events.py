"""Every event an operator may see is one function here, so that its words stand in one place."""

import errno
from typing import Any

from mail2fax.log import setup
from mail2fax.model import HELD_KINDS, Envelope, Receipt

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


def _why(error: BaseException) -> dict[str, Any]:
    """An error as facts: with its traceback, unless what it says is all there is to know."""
    if getattr(error, "passing", False):  # the database is away, for everybody: told by `setup` once in a while
        return {"error": f"the database did not answer: {' '.join(str(error).split())}", setup.STORM: True}
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        return {"error": str(error)}
    return {"exc_info": error}


# -- the node


def started(*, node: str, listening: list[str], spool: str, provider: str) -> None:
    """The first 220 can be had from now on."""
    setup.event.info("started", node=node, listening=" ".join(listening), spool=spool, provider=provider)


def stopping(*, signal: str, in_flight: int, at_most: float) -> None:
    """No new mail from now on; steps in flight have so many seconds to end."""
    setup.event.info("stopping", signal=signal, steps_in_flight=in_flight, seconds_at_most=at_most)


def stopped() -> None:
    """Everything was put down where another start finds it."""
    setup.event.info("stopped")


def few_descriptors(*, limit: int, wanted: int) -> None:
    """Fewer files may be open than [smtp] max_connections would take: clients wait when they run out."""
    setup.event.warning(
        "few open files allowed: raise LimitNOFILE or lower [smtp] max_connections", limit=limit, wanted=wanted
    )


def out_of_descriptors(*, limit: int, said: str) -> None:
    """No connection can be accepted: those that come wait until others have ended."""
    setup.event.error(
        "no file descriptor left: new clients wait; raise LimitNOFILE or lower [smtp] max_connections",
        limit=limit,
        said=said,
    )


def copied(*, held: int) -> None:
    """The spool came from elsewhere: what waits in it may be faxed by whoever has the original."""
    say = "a copied or restored spool: what waits is held. Is the original at rest? `mail2fax serve --adopt`"
    setup.event.error(say, held=held)


def adopted(*, released: int) -> None:
    """Somebody has said that this copy is to go on."""
    setup.event.warning("the spool was adopted: what was held for being a copy goes on", released=released)


def clock_stepped(*, seconds: float) -> None:
    """The database's clock was set, by so many seconds; what waits by it was moved along."""
    setup.event.warning("the clock was set: what waits was moved along", seconds=round(seconds, 1))


def confined(*, by: list[str], missing: list[str]) -> None:
    """What keeps a document that takes over its worker from the rest of the machine; `check` says what is missing."""
    say = setup.event.warning if missing else setup.event.info
    say("workers are confined", by=", ".join(by), missing=", ".join(missing))


def running_as_root() -> None:
    """The service has the rights of the whole machine, which it does not need."""
    setup.event.warning("running as root: a user of its own, as in contrib/mail2fax.service, confines more")


# -- the way of a fax


def prepared(*, fax: str, pages: int, seconds: float) -> None:
    """One document was made of the mail."""
    setup.event.info("prepared", fax=fax, pages=pages, seconds=round(seconds, 3))


def submitted(*, fax: str, number: str, ref: str, line: str) -> None:
    """The provider took the fax. The reference is written here too: a second record, should the spool be lost."""
    setup.event.info("submitted", fax=fax, number=number, ref=ref, line=line or "default")


def search_failed(*, fax: str, note: str) -> None:
    """Whether the provider has a fax could not be asked; it is asked again."""
    setup.event.warning("could not ask whether the provider has it", fax=fax, note=note)


def found(*, fax: str, ref: str) -> None:
    """An answer was lost, and the provider has the fax: it goes on."""
    setup.event.info("found at the provider", fax=fax, ref=ref)


def reference_dropped(*, provider: str) -> None:
    """The provider did not repeat our reference: should an answer be lost, the fax cannot be looked for."""
    setup.event.warning("the provider drops our reference: a lost answer stays unknown", provider=provider)


def redialed(*, fax: str, cause: str, seconds: float) -> None:
    """No page went, and the provider does not dial again by itself: the fax is offered anew."""
    setup.event.info("dialled again", fax=fax, cause=cause, seconds=round(seconds, 1))


def not_forgotten(*, fax: str, note: str) -> None:
    """The provider keeps its copy of a document until its own rules delete it."""
    setup.event.warning("the provider keeps its copy of the document", fax=fax, note=note)


def rerouted(*, line: str, to: str, faxes: int) -> None:
    """A line is in trouble: its waiting faxes go by the line that its fallback names."""
    setup.event.warning("waiting faxes go by another line", line=line or "default", to=to or "default", faxes=faxes)


def same_ref(*, fax: str, ref: str, other: str) -> None:
    """The provider gave a reference that another fax has: their polls cannot be told apart."""
    setup.event.warning("the provider gave one reference twice", fax=fax, ref=ref, other=other)


def postponed(*, fax: str, note: str, seconds: float) -> None:
    """The provider did not take the fax; it is offered again after so many seconds, 0: once its line is open."""
    pause = {"seconds": round(seconds, 1)} if seconds else {}
    setup.event.warning("not taken, trying again", fax=fax, note=note, **pause)


def provider_answered(*, request: str, answer: str, seconds: float) -> None:
    """A request to the provider is over: what came of it, "taken", "status" or the reason of a verdict."""
    setup.event.debug("provider answered", request=request, answer=answer, seconds=round(seconds, 3))


def line_shut(*, line: str, kind: str, note: str, failures: int) -> None:
    """No fax of this line is offered for a while, but for one probe at a time."""
    say = setup.event.error if kind in HELD_KINDS else setup.event.warning
    say("fax line shut", line=line or "default", kind=kind, note=note, failures=failures)


def line_open(*, line: str) -> None:
    """The provider takes faxes of this line again."""
    setup.event.info("fax line open again", line=line or "default")


def ended(*, fax: str, number: str, state: str, reason: str, seconds: float) -> None:
    """The outcome of a fax."""
    say = setup.event.info if state == "delivered" else setup.event.warning
    say(state, fax=fax, number=number, reason=reason, seconds=round(seconds, 1))


def progress(*, fax: str, word: str) -> None:
    """The provider has a new word for a fax."""
    setup.event.debug("progress", fax=fax, word=word)


def odd_word(*, fax: str, word: str) -> None:
    """The provider says something its document does not name; the fax is looked at again."""
    setup.event.warning("unknown status word", fax=fax, word=word)


def webhook_refused(*, why: str) -> None:
    """Somebody called [web] webhooks and was not believed. Told once a minute at the most."""
    setup.event.warning("webhook not believed", why=why)


def poll_failed(*, fax: str, note: str) -> None:
    """The status could not be had; it is asked for again."""
    setup.event.warning("no status", fax=fax, note=note)


def replied(*, fax: str, recipient: str, outcome: str, seconds: float) -> None:
    """The smarthost took the reply, so many seconds after the mail was accepted."""
    setup.event.info("replied", fax=fax, recipient=recipient, outcome=outcome, seconds=round(seconds, 1))


def reply_suppressed(*, fax: str, why: str) -> None:
    """Nobody wants or may have a reply."""
    setup.event.info("no reply wanted", fax=fax, why=why)


def reply_postponed(*, fax: str, note: str, seconds: float) -> None:
    """The smarthost did not take the reply; it is offered again."""
    setup.event.warning("reply not taken, trying again", fax=fax, note=note, seconds=round(seconds, 1))


def reply_undeliverable(*, fax: str, recipient: str, note: str) -> None:
    """The sender cannot be told."""
    setup.event.error("reply undeliverable", fax=fax, recipient=recipient, note=note)


def noticed(*, fax: str, kind: str, recipient: str) -> None:
    """A mail besides the outcome was handed over: "delayed", "again", "passed-on", "postmaster" or "admin"."""
    setup.event.info("noticed", fax=fax, kind=kind, recipient=recipient)


def lease_lost(*, fax: str) -> None:
    """Somebody else acts on this fax now: what we did is not written."""
    setup.event.warning("lease lost", fax=fax)


def step_failed(*, fax: str, state: str, attempts: int, error: Exception) -> None:
    """A step ended in an error of our own; the fax is tried again."""
    setup.event.error("step failed", fax=fax, state=state, attempts=attempts, **_why(error))


def spool_failed(*, work: str, error: BaseException) -> None:
    """The database did not answer; it is asked again."""
    setup.event.error("spool failed", work=work, **_why(error))


def drained(*, fax: str) -> None:
    """A step was cut short by the shutdown; the fax was put back."""
    setup.event.info("put back", fax=fax)


def recovered(*, mail: str) -> None:
    """A start found an accepted mail in its log that a power cut or a kill had left without a row."""
    setup.event.warning("recovered from the log", mail=mail)


def unsafe(*, file: str, error: BaseException) -> None:
    """A recovered mail cannot be brought to the disk once more: it is worked on all the same."""
    setup.event.error("recovered mail cannot be synced", file=file, error=str(error))


def not_overwritten(*, segment: str, error: BaseException) -> None:
    """A deleted mail's bytes stay until the log that it shares with others goes."""
    setup.event.error("deleted mail could not be zeroed", segment=segment, error=str(error))


def purged(*, contents: int, histories: int) -> None:
    """What was kept long enough is deleted."""
    setup.event.info("purged", contents=contents, histories=histories)


# -- documents


def worker_ended(*, folder: str, how: str, trace: str, again: bool) -> None:
    """A worker ended without an answer: a hostile or broken file, too small limits, or an operator's kill."""
    setup.event.warning("worker ended", folder=folder, how=how, trace=trace[:2000], trying_again=again)


# -- logins


def secret_exposed(*, file: str) -> None:
    """A file that holds a secret may be read by everybody on this machine."""
    setup.event.warning(
        "a secret is readable by everyone: chgrp to the group of the service, then chmod 640", file=file
    )


# -- the front door


def accepted(*, receipt: Receipt, envelope: Envelope, size: int, seconds: float) -> None:
    """A mail is on disk, after so many seconds, and its client was told so; from here on it is ours."""
    setup.event.info(
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
    setup.event.info("accepted for postmaster", id=queue_id, client=client, sender=sender)


def answered(*, fax: str, action: str, now: str, sender: str, client: str) -> None:
    """The sender asked by answering a reply, and it was done."""
    setup.event.info("answered", fax=fax, action=action, now=now, sender=sender, client=client)


def answer_passed_on(*, fax: str, queue_id: str, doubt: str, sender: str) -> None:
    """An answer to a reply was not clearly a wish: nothing was done, and [reply] sender gets it to read."""
    setup.event.info("answer passed on", fax=fax, id=queue_id, doubt=doubt, sender=sender)


def refused(*, answer: str, client: str, user: str, sender: str | None, recipient: str) -> None:
    """A command was answered no; the answer's first words are the codes."""
    setup.event.info("refused", answer=answer, client=client, user=user, sender=sender, recipient=recipient)


def not_accepted(*, client: str, sender: str, error: Exception) -> None:
    """A mail could not be made durable: its client keeps it and tries again."""
    setup.event.error("not accepted", client=client, sender=sender, **_why(error))


def session_failed(*, client: str, error: BaseException) -> None:
    """An error of our own in a session; the client was told to try again."""
    setup.event.error("session failed", client=client, **_why(error))


def turned_away(*, client: str, answer: str) -> None:
    """A connection was not let in."""
    setup.event.warning("turned away", client=client, answer=answer)


def dismissed(*, client: str, answer: str) -> None:
    """A session was ended by us, for what its client did."""
    setup.event.info("dismissed", client=client, answer=answer)


def tls_failed(*, client: str, reason: str) -> None:
    """A client and we found no TLS to speak; a device that never gets in is found by this line."""
    setup.event.warning("TLS handshake failed", client=client, reason=reason)


def client_vanished(*, client: str) -> None:
    """The client closed its connection in the middle of something."""
    setup.event.debug("client vanished", client=client)


def login_failed(*, client: str, name: str) -> None:
    """A wrong user or password."""
    setup.event.warning("login failed", client=client, name=name)


def login_refused(*, client: str, name: str) -> None:
    """Too many wrong passwords lately: this one was not even looked at."""
    setup.event.warning("login refused, too many failures", client=client, name=name)


def reloaded() -> None:
    """Certificate and users file were read anew."""
    setup.event.info("reloaded")


def not_reloaded(*, what: str, problem: str) -> None:
    """The certificate or the users file could not be read anew: what was read before stays."""
    setup.event.error("not reloaded", what=what, problem=problem)


# -- operators


def operator_acted(*, who: str, act: str, fax: str, sender: str) -> None:
    """Somebody did this at the operator's page."""
    setup.event.info("operator acted", who=who, act=act, fax=fax, sender=sender)


def operator_logged_in(*, who: str, client: str) -> None:
    """Somebody logged in at the operator's page."""
    setup.event.info("operator logged in", who=who, client=client)


def operator_refused(*, who: str, client: str, why: str) -> None:
    """Nobody was logged in: a wrong name or password, too many of them, or a form that was made elsewhere."""
    setup.event.warning("operator refused", client=client, who=who, why=why)  # first: contrib/fail2ban


# -- replies


def template_broken(*, template: str, folder: str, problem: str) -> None:
    """A template of the administrator's failed; the shipped one spoke in its place."""
    setup.event.error("template broken, the shipped one was used", template=template, folder=folder, problem=problem)
