"""Answers, from outside: whatever is answered, by whom, how often and at what moment, nothing is faxed that nobody wished.

A real node between a fake fax API and a recording mail server; a small model counts the wishes. The promise: a document
reaches a number twice only after a wish that names it, and never a number that nobody wished.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mail2fax.model import FINAL
from tests.support.answering import SENDER as OWNER
from tests.support.answering import answer, brought
from tests.support.faxapi import LOST
from tests.support.samples import mail, pdf

STRANGER = "eve@office.example"
FIRST, OTHER = "6474959659", "4165550101"
# What a text asks for by itself: "same" number by a bare answer, "named" by a word, OTHER's number, or nothing.
TEXTS = {
    "": "same",
    "again, please": "same",
    "SEND": "named",
    "Renvoyer": "named",
    "Hi,\n\n416-555-0101": OTHER,
    "Wrong number, sorry!\n(416) 555-0101": OTHER,
    "I phoned them, they have it. Thank you!": None,
    "Thanks! Will call them.": None,
    "Wrong number, sorry!": None,
    "416-555-0101 or 416-555-0199": None,
    "call me at 416 555 0101": None,
    "SEND\n\nFax: 416-555-0101": None,
    "Thanks\n(416) 555-0101": None,
    "I received your mail, but I won't be back until Monday.": None,
}
WISHES = [text for text, wish in TEXTS.items() if wish]
MARKS = (*[""] * 6, "Precedence: bulk", "Auto-Submitted: auto-replied", "X-Loop: anna@office.example")


# Drawn before it is known how many there are: what is drawn must not depend on what a node has answered so far.
WHICH = st.integers(0, 119)


def one_of(things, which):
    return things[which % len(things)]


@dataclass
class Wishes:
    """What may have been faxed: how often at the most, by number; and how often a bare answer may count."""

    most: Counter
    addresses: dict[str, str] = field(default_factory=dict)  # Reply-To of each reply: the fax it is about


def answers(running, faxapi, outbox, loop):
    """The machine, for this node."""

    def wait(awaitable):
        return asyncio.run_coroutine_threadsafe(awaitable, loop).result(60)

    class Answers(RuleBasedStateMachine):
        @initialize(ending=st.sampled_from(["Failed", "lost", "lost", "mistyped"]))
        def a_mail_is_faxed(self, ending):
            self.begun, self.read = len(faxapi.posts), len(outbox.mails)
            typed = FIRST[:-1] if ending == "mistyped" else FIRST
            self.wishes = Wishes(Counter({typed: 1}))
            self.repeats = []
            if ending != "mistyped":
                self.next_ends(ending)
            self.queue_id = wait(running.send(mail(pdf(), subject=f"Mail {len(outbox.mails)}"), f"{typed}@fax.local"))
            self.all_end()

        def next_ends(self, ending):
            """How the provider ends what comes next."""
            faxapi.words = [ending if ending in ("Success", "Failed") else "Success"]
            if ending == "lost":
                faxapi.on_post(LOST)

        def all_end(self):
            """Wait until nothing of this mail is under way, and take up the addresses of its replies."""
            wait(_over(running, self.queue_id))
            for one in outbox.mails[self.read :]:
                if one.message["Reply-To"]:
                    self.wishes.addresses[str(one.message["Reply-To"])] = str(one.message["Reply-To"])

        @rule(
            which=WHICH,
            text=st.sampled_from(WISHES) | st.sampled_from(sorted(TEXTS)),  # what is obeyed is where it can go wrong
            mark=st.sampled_from(MARKS),
            sender=st.sampled_from([*[OWNER] * 5, STRANGER]),
            ending=st.sampled_from(["Success", "Failed", "Failed", "lost", "lost"]),  # a success ends the story
            hurry=st.booleans(),
        )
        def somebody_answers(self, which, text, mark, sender, ending, hurry):
            if not self.wishes.addresses:
                return
            address = one_of(sorted(self.wishes.addresses), which)
            fax = self.fax_of(address)
            written = _answer(text, mark)
            self.next_ends(ending)
            code, said = brought(running.address, address, written, sender)
            if code == 250 and "nothing was faxed" not in said:
                self.carried_out(fax, text, mark, sender)
                self.repeats.append((address, written, said))
            else:
                faxapi._post_replies.clear()
            if not hurry:
                self.all_end()

        def carried_out(self, fax, text, mark, sender):
            """An answer was obeyed: it must have been a wish, and from here on it counts."""
            wish = TEXTS[text]
            assert not mark and sender == OWNER and wish
            assert fax.number or wish == OTHER  # mistyped: nobody's number yet
            assert wish != "same" or (fax.state == "failed" and not fax.retry_of), (text, fax)
            self.wishes.most[wish if wish == OTHER else fax.number] += 1

        @rule(which=WHICH)
        def a_client_lost_our_250(self, which):
            if not self.repeats:
                return
            address, written, said = one_of(self.repeats, which)
            code, again = brought(running.address, address, written, OWNER)
            assert code == 550 or again == said  # by then it may have arrived: still no fax more

        def fax_of(self, address):
            name = address.partition("+")[2].partition(".")[0].upper()
            return next(fax for fax in wait(running.faxes(self.queue_id)) if fax.id == name)

        @invariant()
        def no_number_is_faxed_unasked(self):
            if hasattr(self, "wishes"):
                sent = Counter(post.number for post in faxapi.posts[self.begun :])
                assert sent <= self.wishes.most, (sent, self.wishes.most)

        def teardown(self):
            if hasattr(self, "queue_id"):
                self.all_end()
                self.no_number_is_faxed_unasked()

    return Answers


async def _over(running, queue_id):
    async with asyncio.timeout(90):
        while not all(fax.state in FINAL and fax.replied_at for fax in await running.faxes(queue_id)):
            await asyncio.sleep(0.05)


def _answer(text: str, mark: str) -> bytes:
    written = answer(text, "Re: your fax", "Your fax to (647) 495-9659")
    return (f"{mark}\r\n" if mark else "").encode() + written


@pytest.mark.timeout(900)
async def test_nothing_is_faxed_that_nobody_wished(bridge, faxapi, outbox):
    """The property, over random answers by anybody at any moment."""
    running = await bridge(reply={"max_per_hour": 0}, numbers={"mistyped": "reply"})
    machine = answers(running, faxapi, outbox, asyncio.get_running_loop())
    quick = settings(
        max_examples=int(os.environ.get("MAIL2FAX_STORIES", "12")),
        stateful_step_count=8,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a node with a history cannot be asked twice in the same way
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=quick)
