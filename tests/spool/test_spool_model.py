"""The spool against a small model in Python: whatever is asked in whatever order, both say the same.

Time is moved by hand: the rows are made older, so that leases end and retries fall due without waiting.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, text

from mail2fax.config import Settings
from mail2fax.model import FINAL, NEXT, WAITING, LeaseLost, Reason, Refused, State
from mail2fax.spool import NEEDED, Spool, open_spool, operator, search
from mail2fax.spool.database.schema import metadata
from tests.support import spooling

LEASE = 1000.0  # never ends by itself here
LATER = 500.0
ONWARD = {
    State.RECEIVED: State.PREPARED,
    State.PREPARED: State.SUBMITTING,
    State.SUBMITTING: State.SUBMITTED,
    State.SUBMITTED: State.DELIVERED,
}


@dataclass(frozen=True)
class Known:
    """What the model knows of one fax."""

    state: State = State.RECEIVED
    owner: object = None  # the fax as its last claim gave it; None: nobody acts
    lease_over: bool = False
    due: bool = True
    held: bool = False
    told: bool = False
    submissions: int = 0
    retry_of: str = ""  # the fax that this one is made of

    @property
    def acting(self) -> bool:
        return self.owner is not None and not self.lease_over

    @property
    def claimable(self) -> bool:
        if self.told or (self.held and self.state in WAITING):
            return False
        return self.lease_over if self.owner is not None else self.due


def there_is(wanted):
    """Only when some fax is so: a rule that does nothing tries nothing."""
    return precondition(lambda self: any(wanted(known) for known in self.known.values()))


def claimable(known):
    return known.claimable


def owned(known):
    return known.owner is not None


def movable(known):
    return owned(known) and known.state not in FINAL


def tellable(known):
    return owned(known) and known.state in FINAL


def known_at_all(_known):
    return True


class SpoolMachine(RuleBasedStateMachine):
    """Operations of the spool, as steps, operators and clocks ask for them."""

    spool: Spool
    loop: asyncio.AbstractEventLoop

    def __init__(self):
        super().__init__()
        self.known: dict[str, Known] = {}
        self.stale: list = []  # claims whose lease somebody else has, or that were given back
        self.contents: dict[tuple[bytes, str], str] = {}
        self.do(self.spool.change(_empty))

    def do(self, wanted):
        return self.loop.run_until_complete(wanted)

    def some(self, data, wanted):
        """One of the faxes for which this holds."""
        return data.draw(st.sampled_from([name for name, known in self.known.items() if wanted(known)]))

    def learn(self, name, **change):
        self.known[name] = replace(self.known[name], **change)

    def free(self, name, **change):
        """Nobody acts on it any more."""
        if owner := self.known[name].owner:
            self.stale.append(owner)
        self.learn(name, owner=None, lease_over=False, **change)

    # -- steps

    @initialize(content=st.sampled_from([b"a", b"b"]), numbers=st.integers(1, 3))
    def begin(self, content, numbers):
        self.put(content, numbers)

    @rule(content=st.sampled_from([b"a", b"b", b"c"]), numbers=st.integers(1, 3))
    def put(self, content, numbers):
        digits = [f"416555010{n}" for n in range(numbers)]
        receipt = self.do(spooling.put(self.spool, *digits, content=content))
        fresh = [n for n, number in enumerate(digits, start=1) if (content, number) not in self.contents]
        assert len(receipt.duplicates) == numbers - len(fresh)
        if not fresh:
            assert receipt.queue_id == self.contents[content, digits[0]]
        for n in fresh:
            self.contents[content, digits[n - 1]] = receipt.queue_id
            self.known[f"{receipt.queue_id}-{n}"] = Known()

    @there_is(claimable)
    @rule(data=st.data(), limit=st.integers(1, 3))
    def claim_what_is_due(self, data, limit):
        assert self._claim(NEEDED[self.known[self.some(data, claimable)].state], limit)

    @rule(work=st.sampled_from(sorted(set(NEEDED.values()))), limit=st.integers(1, 3))
    def claim(self, work, limit):
        self._claim(work, limit)

    def _claim(self, work, limit):
        claimed, _ = self.do(self.spool.claim(work, limit))
        due = {name for name, known in self.known.items() if known.claimable and NEEDED[known.state] == work}
        assert {fax.id for fax in claimed} <= due
        assert len(claimed) == min(limit, len(due))
        for fax in claimed:
            if self.known[fax.id].owner:
                self.stale.append(self.known[fax.id].owner)
            assert fax.state is self.known[fax.id].state
            self.learn(fax.id, owner=fax, lease_over=False)
        return claimed

    @there_is(lambda known: known.claimable and known.state in ONWARD)
    @rule(data=st.data(), keep=st.booleans())
    def go_on(self, data, keep):
        """The usual way: claimed, and moved on."""
        name = self.some(data, lambda known: known.claimable and known.state in ONWARD)
        self._claim(NEEDED[self.known[name].state], 3)
        if owned(self.known[name]):
            self._advance(name, ONWARD[self.known[name].state], keep=keep, due_in=0.0)

    @there_is(movable)
    @rule(data=st.data(), keep=st.booleans(), due_in=st.sampled_from([0.0, LATER]))
    def advance(self, data, keep, due_in):
        # A lease that is over but that nobody took is still its owner's.
        name = self.some(data, movable)
        self._advance(name, data.draw(st.sampled_from(sorted(NEXT[self.known[name].state]))), keep=keep, due_in=due_in)

    def _advance(self, name, state, *, keep, due_in):
        known = self.known[name]
        columns = {"provider_ref": "ref"} if state is State.SUBMITTED else {}
        moved = self.do(self.spool.advance(known.owner, state, keep=keep, due_in=due_in, **columns))
        assert moved.state is state
        submissions = known.submissions + (state is State.SUBMITTING)
        held = known.held and (keep or state in WAITING)
        if keep:
            self.stale.append(known.owner)
            self.learn(name, state=state, owner=moved, lease_over=False, submissions=submissions, held=held)
        else:
            self.free(name, state=state, due=not due_in, submissions=submissions, held=held)

    @there_is(owned)
    @rule(data=st.data(), due_in=st.sampled_from([0.0, LATER]))
    def retry(self, data, due_in):
        name = self.some(data, owned)
        known = self.known[name]
        self.do(self.spool.postpone(known.owner, due_in, event={"note": "later"}))
        self.free(name, due=not due_in, held=known.held and known.state in WAITING)

    @there_is(owned)
    @rule(data=st.data())
    def release_claim(self, data):
        name = self.some(data, owned)
        known = self.known[name]
        self.do(self.spool.put_back(known.owner))
        self.free(name, due=True, held=known.held and known.state in WAITING)

    @there_is(tellable)
    @rule(data=st.data())
    def replied(self, data):
        name = self.some(data, tellable)
        self.do(self.spool.replied(self.known[name].owner, "sent"))
        self.free(name, told=True)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), state=st.sampled_from(sorted(State)))
    def late_write(self, data, state):
        """Somebody who lost the lease, or the state, writes nothing."""
        late = data.draw(st.sampled_from(self.stale))
        current = self.known[late.id]
        if current.owner is not None and (current.owner.lease, current.owner.state) == (late.lease, late.state):
            return
        writes = [self.spool.postpone(late, 0.0), self.spool.replied(late, "sent")]
        if state in NEXT[late.state]:
            writes.append(self.spool.advance(late, state, provider_ref="late"))
        for write in writes:
            with pytest.raises(LeaseLost):
                self.do(write)
        self.do(self.spool.put_back(late))

    # -- time

    @there_is(owned)
    @rule()
    def leases_end(self):
        self._age("lease <> ''")
        for name, known in self.known.items():
            if known.owner is not None:
                self.learn(name, lease_over=True)

    @there_is(lambda known: not known.due)
    @rule()
    def retries_fall_due(self):
        self._age("lease = ''")
        for name, known in self.known.items():
            if known.owner is None:
                self.learn(name, due=True)

    def _age(self, where):
        statement = text(f"UPDATE faxes SET due_at = due_at - 5000 WHERE due_at IS NOT NULL AND {where}")
        self.do(self.spool.change(lambda connection: connection.execute(statement) and None))

    @there_is(owned)
    @rule()
    def the_others_take_over(self):
        self.leases_end()
        for work in sorted(set(NEEDED.values())):
            self._claim(work, 2)

    @there_is(owned)
    @rule()
    def renew(self):
        leases = {known.owner.lease for known in self.known.values() if known.owner is not None}
        if leases:
            self.do(self.spool.renew(leases))
            for name, known in self.known.items():
                if known.owner is not None:
                    self.learn(name, lease_over=False)

    # -- people

    @there_is(lambda known: known.state in WAITING and not known.held)
    @rule()
    def hold_all(self):
        held = self.do(self.spool.change(operator.hold, operator.waiting(), "kim"))
        assert set(held) == {n for n, known in self.known.items() if known.state in WAITING and not known.held}
        for name in held:
            self.learn(name, held=True)

    @there_is(lambda known: known.held)
    @rule()
    def release_all(self):
        released = self.do(self.spool.change(operator.release, operator.waiting(), "kim"))
        assert set(released) == {n for n, known in self.known.items() if known.state in WAITING and known.held}
        for name in released:
            self.learn(name, held=False, due=True)

    @precondition(lambda self: len(self.known) > 4)  # not before something has happened to some
    @rule(data=st.data())
    def cancel(self, data):
        name = self.some(data, known_at_all)
        known = self.known[name]
        possible = known.state in WAITING and not known.acting
        self._asked(possible, operator.cancel, name, "kim", Reason.CANCELLED_BY_OPERATOR)
        if possible:
            self.free(name, state=State.CANCELLED, due=True, held=False)

    @there_is(lambda known: known.state is State.UNKNOWN)
    @rule(data=st.data(), state=st.sampled_from([State.DELIVERED, State.FAILED]))
    def resolve(self, data, state):
        name = self.some(data, known_at_all)
        under_way = any(known.retry_of == name and known.state not in FINAL for known in self.known.values())
        possible = self.known[name].state is State.UNKNOWN and not (under_way and state is State.DELIVERED)
        self._asked(possible, operator.resolve, name, state, "kim")
        if possible:
            self.free(name, state=state, due=True, told=False)

    @there_is(lambda known: known.state in FINAL)
    @rule(data=st.data())
    def retry_asked(self, data):
        name = self.some(data, known_at_all)
        unsent = {State.FAILED, State.CANCELLED}
        second = any(known.retry_of == name and known.state not in unsent for known in self.known.values())
        possible = self.known[name].state in unsent | {State.UNKNOWN} and not second
        if fresh := self._asked(possible, operator.retry, name, "kim"):
            self.known[fresh] = Known(retry_of=name)

    def _asked(self, possible, operation, *words, **options):
        if possible:
            return self.do(self.spool.change(operation, *words, **options))
        with pytest.raises(Refused):
            self.do(self.spool.change(operation, *words, **options))
        return None

    # -- always

    @invariant()
    def both_say_the_same(self):
        found = {fax.id: fax for fax in self.do(self.spool.read(search.found, search.Search(), limit=10_000))}
        assert set(found) == set(self.known)
        for name, known in self.known.items():
            fax = found[name]
            seen = (fax.state, bool(fax.held_by), fax.replied_at is not None, fax.submissions)
            assert seen == (known.state, known.held, known.told, known.submissions)
            assert bool(fax.lease) == (known.owner is not None)
            # Never silence: who is not told is due some time, or held by a person who can release it.
            assert fax.replied_at or fax.due_at or (fax.held_by and fax.state in WAITING)


def _empty(connection):
    for table in reversed(metadata.sorted_tables):
        connection.execute(delete(table))


def _checked(url, examples):
    async def opened():
        return await stack.enter_async_context(open_spool(wanted, node="model"))

    wanted = Settings.model_validate({"spool": {"url": url, "lease": LEASE}})
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        machine = type("Machine", (SpoolMachine,), {"spool": runner.run(opened()), "loop": runner.get_loop()})
        try:
            run_state_machine_as_test(machine, settings=_settings(examples))
        finally:
            runner.run(stack.aclose())


def _settings(examples):
    return settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_spool_does_as_its_model(spool_url):
    """Each story begins with an empty spool."""
    _checked(spool_url, int(os.environ.get("MAIL2FAX_STORIES", "20")))
