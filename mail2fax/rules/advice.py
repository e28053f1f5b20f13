"""What a person should do about a fax, in one line. Pure."""

from mail2fax.model import WAITING, Fate, Fax, Part, Reason, State

_READY = {
    **dict.fromkeys(State, "ready, to be faxed"),
    State.DELIVERED: "faxed",
    State.FAILED: "ready, not delivered",
    State.CANCELLED: "ready, not sent",
    State.UNKNOWN: "ready, perhaps delivered",
}
_SENDERS_TURN = {
    Reason.NOTHING_FAXABLE,
    Reason.PART_REFUSED,
    Reason.TOO_MANY_PAGES,
    Reason.TOO_LARGE,
    Reason.MAIL_BOMB,
}  # the mail has to be another one


def advice(fax: Fax, trouble: str = "", paused_by: str = "") -> str:
    """What to do, or what is waited for; "" when all is well.

    `trouble`: why its fax line is shut, "" if it is open. `paused_by`: who paused sending, "" if nobody did.
    """
    if fax.final:
        return _over(fax)
    if fax.held_by:
        return f"Held by {fax.held_by}: mail2fax release {fax.id} lets it go on, mail2fax cancel {fax.id} ends it."
    if fax.state in WAITING and paused_by:
        return f"Sending is paused, by {paused_by}: mail2fax resume lets it go on."
    if fax.state is State.PREPARED and trouble:
        return f"Nothing for this fax: it waits for its fax line, which is shut. {trouble}"
    if fax.attempts > 1 and fax.state is State.RECEIVED:
        return f"Tried {fax.attempts} times: the history and the log say what is in the way."
    return ""


def senders_turn(fax: Fax) -> bool:
    """Whether it failed for what is in the mail: it would fail again, until the sender mails something else."""
    return fax.state is State.FAILED and fax.reason in _SENDERS_TURN


def came_of(part: Part, state: State) -> str:
    """What became of a part in this fax, as far as it is known: what can be faxed is faxed only if the fax was."""
    return _READY[state] if part.fate is Fate.FAXED else part.fate.value


def _over(fax: Fax) -> str:
    if fax.state is State.UNKNOWN:
        return (
            "Ask the recipient whether it arrived, then say so: "
            f"mail2fax resolve {fax.id} --delivered, --failed, or --resend (sends it again)."
        )
    if fax.reply == "undeliverable":
        return "The sender could not be told: tell them yourself. The history has the mail server's words."
    if senders_turn(fax):
        return "Nothing: the sender was told what to change in the mail."
    if fax.state is State.FAILED:
        return f"The sender knows. mail2fax retry {fax.id} sends it again, with --number to another number."
    return ""
