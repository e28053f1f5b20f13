"""What an operator may do from the page: each act in words, asked once more before it is carried out.

The same operations as the commands'; what makes no sense for a fax is refused with the reason, and everything that is
done stands in the fax's history under the name of who did it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mail2fax import log
from mail2fax.model import Fax, Reason, Refused, State
from mail2fax.rules import address
from mail2fax.rules.address import pretty
from mail2fax.rules.policy import Policy, in_words
from mail2fax.spool import Spool, Work, operator, questions

_SHOWN = 20  # ids in an answer; of more only how many is said


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. What an act has no use for is empty."""

    who: str = ""
    fax: str = ""  # a fax id
    sender: str = ""  # a reverse-path
    number: str = ""  # as typed
    how: str = ""  # of resolve: "delivered", "failed", "resend", "reference"
    reference: str = ""  # of resolve: the provider's


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before it is done."""

    text: str  # "Send 3 pages again to (416) 555-0123?"
    more: str = ""  # what a person should know before saying yes
    yes: str = "Yes"  # the button's word


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it, and where to go now."""

    text: str
    fax: str = ""  # the fax to show; "" is the front page


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done."""

    ask: Callable[[Spool, Wish], Awaitable[Question]]
    do: Callable[[Spool, Wish], Awaitable[Done]]


async def _fax(spool: Spool, wish: Wish) -> Fax:
    found = await spool.read(questions.named, wish.fax)
    if len(found) > 1:
        raise Refused(f"{wish.fax} is a mail with several faxes: open one of them")
    return found[0]


async def _refuse_unknown(spool: Spool, wish: Wish) -> None:
    if wish.fax:
        await spool.read(questions.named, wish.fax)


def _number(spool: Spool, typed: str) -> str:
    """The ten digits that were typed. Raises Refused, or AddressError (a ValueError), when they may not be faxed."""
    digits = address.parse(typed, spool.settings.numbers.country).number
    if refusal := Policy(spool.settings).number(digits).refusal:
        raise Refused(in_words(refusal))
    return digits


def _pages(fax: Fax) -> str:
    return "the document" if fax.pages is None else "1 page" if fax.pages == 1 else f"{fax.pages} pages"


# -- again

_DOUBT = "Nobody knows whether it arrived: ask the recipient first, or they may get it twice."


async def _ask_retry(spool: Spool, wish: Wish) -> Question:
    fax = await _fax(spool, wish)
    number = _number(spool, wish.number) if wish.number else fax.number
    await spool.read(operator.may_retry, fax.id, number)
    doubt = _DOUBT if fax.state is State.UNKNOWN else ""
    instead = f"Not to {pretty(fax.number)}, where it was sent before." if number != fax.number else ""
    return Question(f"Send {_pages(fax)} again to {pretty(number)}?", doubt or instead, "Send again")


async def _retry(spool: Spool, wish: Wish) -> Done:
    fax, number = await _fax(spool, wish), _number(spool, wish.number) if wish.number else ""
    line = Policy(spool.settings).line(fax.sender, number)
    fresh = await spool.hand_on(Work.SUBMIT, operator.retry, fax.id, wish.who, number, line)
    return Done(f"Sending again as {fresh}.", fresh)


# -- the outcome of an unknown fax

_HOW = MappingProxyType(
    {
        "delivered": ("Say that {to} has it?", "The sender is told that the fax was delivered.", "It arrived"),
        "failed": ("Say that {to} does not have it?", "The sender is told that the fax failed.", "It did not arrive"),
        "resend": ("Say that {to} does not have it, and send {pages} again?", "", "Send again"),
        "reference": (
            "Go on asking the provider about {reference}?",
            "The provider's portal shows this reference for the fax to {to}.",
            "Go on asking",
        ),
    }
)


async def _ask_resolve(spool: Spool, wish: Wish) -> Question:
    words = _how(wish)
    fax = await _fax(spool, wish)
    await spool.read(operator.may_resolve, fax.id, arrived=wish.how in {"delivered", "reference"})
    if wish.how == "resend":
        await spool.read(operator.may_retry, fax.id)
    facts = {"to": pretty(fax.number), "pages": _pages(fax), "reference": wish.reference}
    return Question(*(text.format(**facts) for text in words))


def _how(wish: Wish) -> tuple[str, str, str]:
    if wish.how not in _HOW:
        raise Refused("say whether the fax arrived, did not arrive, or is to be sent again")
    return _HOW[wish.how]


async def _resolve(spool: Spool, wish: Wish) -> Done:
    _how(wish)
    if wish.how == "resend":
        fresh = await spool.hand_on(Work.SUBMIT, operator.resend, wish.fax, wish.who)
        return Done(f"Sending again as {fresh}.", fresh)
    if wish.how == "reference":
        name = await spool.hand_on(Work.POLL, operator.follow, wish.fax, wish.reference, wish.who)
        return Done(f"Asking the provider about {wish.reference} from now on.", name)
    state = {"delivered": State.DELIVERED, "failed": State.FAILED}[wish.how]
    name = await spool.hand_on(Work.REPLY, operator.resolve, wish.fax, state, wish.who)
    return Done(f"{name} is {state}. The sender is told.", name)


# -- stopping what waits


async def _ask_cancel(spool: Spool, wish: Wish) -> Question:
    fax = await _fax(spool, wish)
    await spool.read(operator.may_cancel, fax.id)
    return Question(f"Cancel the fax to {pretty(fax.number)}?", "It is not sent; the sender is told.", "Cancel the fax")


async def _cancel(spool: Spool, wish: Wish) -> Done:
    name = await spool.hand_on(Work.REPLY, operator.cancel, wish.fax, wish.who, Reason.CANCELLED_BY_OPERATOR)
    return Done(f"{name} is cancelled.", name)


def _whose(wish: Wish) -> str:
    if wish.fax:
        return wish.fax
    return f"all waiting faxes of {wish.sender}" if wish.sender else "all waiting faxes"


async def _ask_hold(spool: Spool, wish: Wish) -> Question:
    await _refuse_unknown(spool, wish)
    return Question(f"Hold {_whose(wish)}?", "What is held is not sent until somebody releases it.", "Hold")


async def _hold(spool: Spool, wish: Wish) -> Done:
    changed = await spool.change(operator.hold, operator.waiting(wish.fax, wish.sender), wish.who)
    return _changed("held", changed, wish)


async def _ask_release(spool: Spool, wish: Wish) -> Question:
    await _refuse_unknown(spool, wish)
    return Question(f"Release {_whose(wish)}?", "What was held is sent now.", "Release")


async def _release(spool: Spool, wish: Wish) -> Done:
    changed = await spool.hand_on(Work.SUBMIT, operator.release, operator.waiting(wish.fax, wish.sender), wish.who)
    return _changed("released", changed, wish)


def _changed(what: str, changed: list[str], wish: Wish) -> Done:
    if not changed:
        raise Refused(f"Nothing was {what}: of {_whose(wish)} there is none that it could be done to.")
    named = f": {' '.join(changed)}" if len(changed) <= _SHOWN else ""
    return Done(f"{len(changed)} {what}{named}.", wish.fax)


# -- the whole


async def _ask_pause(_spool: Spool, _wish: Wish) -> Question:
    more = "Mail is accepted and prepared; nothing is handed to the provider until somebody resumes."
    return Question("Stop sending faxes?", more, "Stop sending")


async def _pause(spool: Spool, wish: Wish) -> Done:
    await spool.change(operator.pause, wish.who)
    return Done("Sending is paused.")


async def _ask_resume(_spool: Spool, _wish: Wish) -> Question:
    return Question("Send faxes again?", "What waits is handed to the provider now.", "Resume sending")


async def _resume(spool: Spool, _wish: Wish) -> Done:
    await spool.hand_on(Work.SUBMIT, operator.resume)
    return Done("Sending goes on.")


async def _ask_purge(spool: Spool, _wish: Wish) -> Question:
    rules = spool.settings.documents
    more = f"Documents go {rules.keep_days} days after the outcome, histories after {rules.history_days} days."
    return Question("Delete now what was kept long enough?", more, "Delete")


async def _purge(spool: Spool, _wish: Wish) -> Done:
    contents, histories = await spool.purge()
    return Done(f"Deleted the documents of {contents} mails and the history of {histories}.")


ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "retry": Act(_ask_retry, _retry),
        "resolve": Act(_ask_resolve, _resolve),
        "cancel": Act(_ask_cancel, _cancel),
        "hold": Act(_ask_hold, _hold),
        "release": Act(_ask_release, _release),
        "pause": Act(_ask_pause, _pause),
        "resume": Act(_ask_resume, _resume),
        "purge": Act(_ask_purge, _purge),
    }
)


async def carry_out(spool: Spool, name: str, wish: Wish) -> Done:
    """Do it. Raises Refused with the reason, KeyError for an act that is none."""
    done = await ACTS[name].do(spool, replace(wish, who=f"{wish.who} (page)"))
    log.operator_acted(who=wish.who, act=name, fax=wish.fax, sender=wish.sender)
    return done
