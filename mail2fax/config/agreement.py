"""What has to agree between sections of the settings. Each raises ValueError with the way out."""

from collections.abc import Collection, Sequence
from typing import Protocol

DIGITS = 10  # of a fax number
# Providers at which a token, or a user, says all; not the sandbox: a trial there leaves the settings as they are.
_NAMELESS = frozenset({"rinble", "hylafax"})


class Line(Protocol):
    """What is looked at of a [[line]]."""

    @property
    def name(self) -> str:
        """How others call it."""

    @property
    def senders(self) -> Sequence[str]:
        """Patterns of those it serves."""

    @property
    def fallback(self) -> str:
        """The line that takes its place; "" for none."""


def lines(found: Sequence[Line], fallback: str) -> None:
    """Names are used once, none is [provider]'s own; each fallback, the provider's too, is another line there is."""
    names = [line.name for line in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f'[[line]] name: "{min(twice)}" is used twice')
    if "default" in names:
        raise ValueError('[[line]] name: "default" is the line of [provider]; write another name')
    fallbacks = {fallback, *(line.fallback for line in found)} - {""}
    if unknown := fallbacks - {*names, "default"}:
        raise ValueError(f'fallback: there is no [[line]] named "{min(unknown)}"')
    for line in found:
        if line.fallback == line.name:
            raise ValueError(f'[[line]] "{line.name}": it is its own fallback')
        if not line.senders and line.name not in fallbacks:
            raise ValueError(f'[[line]] "{line.name}": senders is empty, and no fallback names the line')


def provider_uses(name: str, **given: str) -> None:
    """What only other providers ask for is not given: this one would not look at it."""
    for key in (key for key, value in given.items() if value and name in _NAMELESS):
        raise ValueError(f"{key} is not for {name}: it does nothing there")


def somebody_may_operate(address: str, users_file: str) -> None:
    """The operator's page lets nobody in whom the users file does not give a role, whoever logged them in."""
    if address and not users_file:
        raise ValueError("[web] operate needs [smtp] users_file: it says who may look and act there")


def answers_reach_people(mailbox: str, domains: Collection[str]) -> None:
    """Replies come from no number's address: people answer them, and their questions would be faxed."""
    local_part, _, domain = mailbox.rpartition("@")
    if domain.lower() in domains and sum(letter.isdecimal() for letter in local_part) >= DIGITS:
        raise ValueError("[reply] sender is the address of a fax number: people's answers would be faxed")


def fallbacks(lines: Sequence[Line], default: str) -> dict[str, str]:
    """The line that takes another's place, by that one's name; "" is the line of [provider], whose own is `default`."""
    wanted = {"": default, **{line.name: line.fallback for line in lines}}
    return {name: "" if to == "default" else to for name, to in wanted.items() if to}
