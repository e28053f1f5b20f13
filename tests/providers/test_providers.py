"""What every provider must keep, run over each one there is; and how the settings name one.

Whoever writes another provider adds a `World` for it: the provider and a far side of it that can be told what to do.
"""

import asyncio
import contextlib
import itertools
import sys
import types
from abc import ABC, abstractmethod
from datetime import UTC, datetime

import pytest

from mail2fax.config import Provider, Settings
from mail2fax.model import (
    Capabilities,
    Cause,
    Line,
    LineHeld,
    Permanent,
    State,
    Stopped,
    Temporary,
    Trace,
    Unclear,
    Verdict,
)
from mail2fax.providers import SANDBOX_LISTEN, UnusableProvider, open_provider
from mail2fax.providers.routes import line_of
from mail2fax.sandbox import hylafax, server
from tests.support.faxapi import LOST, FaxApi, Reply
from tests.support.patience import PATIENCE

LINE = Line("accounting", "canary-9f2b71c4")
NUMBER = "6474959659"
CONTENT = b"%PDF-1.7\n" + b"page" * 50_000 + b"\n%%EOF\n"


class World(ABC):
    """A provider, and its far side."""

    def __init__(self, url, **more):
        settings = Provider(name=self.name, url=url, timeout=3.0, token=LINE.token, **more)
        self.provider = open_provider(Settings(provider=settings))
        self.line = line_of(LINE.name, settings)

    name: str
    tells_pauses = True  # when it asks for one

    @abstractmethod
    def number(self, what):
        """The number to fax so that this happens, having told the far side if need be.

        `what` is one of delivered, failed, slow, refused, held, busy, lost, odd word, bad poll.
        """

    @abstractmethod
    async def taken(self, count=1):
        """Wait for so many complete faxes on the far side: pairs of number and content."""

    @abstractmethod
    def incomplete_or_none(self):
        """Whether the far side was given nothing that it could act on."""

    @abstractmethod
    async def down(self):
        """Nobody answers from now on."""


class FaxApiWorld(World):
    """Rinble, before the scripted fake API."""

    name = "rinble"

    def __init__(self, api):
        super().__init__(api.url)
        self._api = api

    def number(self, what):
        replies = {
            "refused": Reply(400),
            "held": Reply(body={"status": 0, "error_code": 401, "message": f"Invalid Token {LINE.token}"}),
            "busy": Reply(429, headers={"Retry-After": "5"}),
            "lost": LOST,
        }
        words = {"failed": "Failed", "slow": "Loading", "odd word": "Busy, redialing"}
        if what in replies:
            self._api.on_post(replies[what])
        if what == "bad poll":
            self._api.on_poll(Reply(500))
        self._api.words = [words.get(what, "Success")]
        return NUMBER

    async def taken(self, count=1):
        await self._api.until(lambda: len(self._api.posts) >= count)
        return [(post.number, post.document) for post in self._api.posts]

    def incomplete_or_none(self):
        return not self._api.posts

    async def down(self):
        await self._api.stop()


class SandboxWorld(World):
    """Rinble, before the sandbox with its magic numbers."""

    name = "sandbox"
    numbers = types.MappingProxyType(
        {
            "delivered": "4165550100",
            "failed": "4165550110",
            "slow": "4165550103",
            "refused": "4165550150",
            "held": "4165550131",
            "busy": "4165550140",
            "lost": "4165550170",
            "odd word": "4165550120",
            "bad poll": "4165550122",
        }
    )

    def __init__(self, box, stack):
        super().__init__(box.url)
        self._box, self._stack = box, stack

    def number(self, what):
        return self.numbers[what]

    async def taken(self, count=1):
        return [(fax.number, fax.document.read_bytes()) for fax in await self._box.received(count)]

    def incomplete_or_none(self):
        return not self._box.faxes

    async def down(self):
        await self._stack.aclose()


class HylaFaxWorld(SandboxWorld):
    """HylaFAX, before the sandbox's hfaxd."""

    name = "hylafax"
    tells_pauses = False

    def __init__(self, box, hfaxd, stack):
        self._url = f"hylafax://fax@{hfaxd.address}"
        World.__init__(self, self._url)
        self._box, self._stack, self.hfaxd = box, stack, hfaxd

    def number(self, what):
        self.hfaxd.closed_to = "fax" if what == "held" else ""
        self.hfaxd.broken = what == "bad poll"
        return {**self.numbers, "busy": "4165550141", "odd word": "4165550103"}[what]


class SinchWorld(SandboxWorld):
    """Sinch, before the sandbox."""

    name = "sinch"
    more = types.MappingProxyType({"account": "project-1", "options": {"key": "key-id"}})

    def __init__(self, box, stack):
        World.__init__(self, self.address(box), **self.more)
        self._box, self._stack = box, stack

    def address(self, box):
        return box.url.removesuffix("/api/fax")

    def number(self, what):
        return {**self.numbers, "odd word": "4165550103"}[what]


class TelnyxWorld(SinchWorld):
    """Telnyx, before the sandbox."""

    name = "telnyx"
    more = types.MappingProxyType({"account": "connection-1", "from_number": "4165550000"})

    def address(self, box):
        return super().address(box) + "/v2"


WORLDS = [FaxApiWorld, SandboxWorld, HylaFaxWorld, SinchWorld, TelnyxWorld]


@pytest.fixture(params=WORLDS, ids=lambda world: world.name)
async def world(request):
    """Each provider there is, with its far side."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param is FaxApiWorld:
            world = FaxApiWorld(await stack.enter_async_context(FaxApi()))
        elif request.param is HylaFaxWorld:
            box = await stack.enter_async_context(server.serve("127.0.0.1:0"))
            world = HylaFaxWorld(box, await stack.enter_async_context(hylafax.serve(box, "127.0.0.1:0")), stack)
        else:
            world = request.param(await stack.enter_async_context(server.serve("127.0.0.1:0")), stack)
        yield world
        await world.provider.close()


@pytest.fixture
def document(tmp_path):
    """What is faxed."""
    path = tmp_path / "document.pdf"
    path.write_bytes(CONTENT)
    return path


_NAMES = (f"2Q4X{n}-1" for n in itertools.count())


class Commit:
    """Counts its calls, and may fail."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error

    async def __call__(self, ref=""):
        self.calls += 1
        if self.error:
            raise self.error


async def submit(world, what, document, commit):
    number = world.number(what)
    name = world.last = next(_NAMES)
    return await world.provider.submit(world.line, number, document, f"{name}.pdf", commit, name)


async def test_a_fax_is_taken_after_one_commit(world, document):
    """The far side has the very bytes; the ref is a text that can be kept."""
    commit = Commit()
    ref = await submit(world, "delivered", document, commit)
    assert commit.calls == 1
    assert isinstance(ref, str)
    assert ref.strip()
    assert [content for _, content in await world.taken()] == [CONTENT]


@pytest.mark.parametrize(("what", "final"), [("delivered", State.DELIVERED), ("failed", State.FAILED)])
async def test_a_last_word_is_a_final_state(world, document, what, final):
    """And only these two there are."""
    ref = await submit(world, what, document, Commit())
    assert (await world.provider.status(world.line, ref)).final is final


@pytest.mark.parametrize("what", ["slow", "odd word"])
async def test_any_other_word_is_not_a_last_one(world, document, what):
    """It is passed on for people to see."""
    ref = await submit(world, what, document, Commit())
    progress = await world.provider.status(world.line, ref)
    assert progress.word
    assert progress.final is None


@pytest.mark.parametrize("error", [OSError(28, "disk full"), KeyError("lease"), asyncio.CancelledError()], ids=repr)
async def test_a_commit_that_fails_is_the_end_of_it(world, document, error):
    """Its exception comes through, and the far side was given nothing that it could act on."""
    with pytest.raises(type(error)) as raised:
        await submit(world, "delivered", document, Commit(error))
    assert raised.value is error
    assert world.incomplete_or_none()


@pytest.mark.parametrize(
    ("what", "kind"), [("refused", Permanent), ("held", LineHeld), ("busy", Temporary), ("lost", Unclear)]
)
async def test_verdicts_say_whether_it_may_be_sent_again(world, document, what, kind):
    """Refused for good, the line held, not processed, or in doubt; and no verdict repeats the token."""
    with pytest.raises(Verdict) as raised:
        await submit(world, what, document, Commit())
    assert type(raised.value) is kind
    assert raised.value.retry_after == (5.0 if what == "busy" and world.tells_pauses else None)
    assert LINE.token not in f"{raised.value} {raised.value.note} {raised.value.detail}"


async def test_nobody_there_is_temporary_without_a_commit(world, document):
    """Surely not taken; and `check` says so, too."""
    await world.provider.check(world.line)
    await world.down()
    commit = Commit()
    for attempt in (submit(world, "delivered", document, commit), world.provider.check(world.line)):
        with pytest.raises(Temporary) as raised:
            await attempt
        assert type(raised.value) is Temporary
        assert raised.value.note
    assert commit.calls == 0


async def test_a_bad_poll_is_only_temporary(world, document):
    """A fax once taken is never failed by an error on the way to its status."""
    ref = await submit(world, "bad poll", document, Commit())
    with pytest.raises(Temporary) as raised:
        await world.provider.status(world.line, ref)
    assert type(raised.value) is Temporary


async def test_many_at_once_are_kept_apart(world, tmp_path):
    """Twelve documents, twelve refs."""
    documents = [tmp_path / f"{n}.pdf" for n in range(12)]
    for n, path in enumerate(documents):
        path.write_bytes(CONTENT + bytes([n]))
    refs = await asyncio.gather(*(submit(world, "delivered", path, Commit()) for path in documents))
    assert len(set(refs)) == 12
    contents = {content for _, content in await world.taken(12)}
    assert contents == {path.read_bytes() for path in documents}


async def test_a_lost_answer_is_settled_where_it_can_be(world, document):
    """The provider that has the fax shows it under our word for it, and no other fax under that."""
    if not world.provider.capabilities.finds:
        pytest.skip("this provider cannot be asked")
    commit = Kept()
    since = datetime.now(UTC)
    with pytest.raises(Unclear):
        await submit(world, "lost", document, commit)
    number, reference = world.number("lost"), world.last
    async with asyncio.timeout(PATIENCE):
        while not (trace := await world.provider.find(world.line, reference, number, since, commit.ref)).ref:
            await asyncio.sleep(0.01)
    assert (await world.provider.status(world.line, trace.ref)).word
    other = await world.provider.find(world.line, "never-offered-1", number, since, "")
    assert other == Trace()


async def test_a_fax_is_stopped_where_it_can_be(world, document):
    """Asked: the next look says that it was cancelled, or how it ended."""
    ref = await submit(world, "slow", document, Commit())
    can = world.provider.capabilities.cancels
    assert await world.provider.cancel(world.line, ref) is (Stopped.ASKED if can else Stopped.CANNOT)
    if can:
        progress = await world.provider.status(world.line, ref)
        assert (progress.final, progress.cause) == (State.FAILED, Cause.CANCELLED)


CAUSES = {
    "4165550112": Cause.BUSY,
    "4165550113": Cause.NO_ANSWER,
    "4165550114": Cause.NO_FAX,
    "4165550115": Cause.HUNG_UP,
    "4165550116": Cause.NUMBER_INVALID,
}


@pytest.mark.parametrize("number", CAUSES)
async def test_a_cause_is_told_in_one_vocabulary(world, document, number):
    """Whatever the vendor calls it; pages only where it tells them; and Rinble says nothing."""
    if isinstance(world, FaxApiWorld):
        pytest.skip("the scripted API has no such numbers")
    name = next(_NAMES)
    ref = await world.provider.submit(world.line, number, document, f"{name}.pdf", Commit(), name)
    progress = await world.provider.status(world.line, ref)
    can = world.provider.capabilities
    assert progress.final is State.FAILED
    assert progress.cause is (CAUSES[number] if can.tells_cause else None)
    assert progress.pages_sent == ((1 if number == "4165550115" else 0) if can.tells_pages else None)


async def test_a_finished_fax_is_forgotten_where_something_is_kept(world, document):
    """Twice does no harm."""
    ref = await submit(world, "delivered", document, Commit())
    assert (await world.provider.status(world.line, ref)).final is State.DELIVERED
    for _ in range(2):
        await world.provider.forget(world.line, ref)


class Kept(Commit):
    """Keeps the reference that was given before the fax was taken."""

    ref = ""

    async def __call__(self, ref=""):
        self.ref = ref
        await super().__call__()


# -- the provider that the settings name


def named(name, **more):
    return open_provider(Settings(provider=Provider(name=name, **more)))


async def test_the_sandbox_never_reaches_the_real_provider():
    """With no address of its own it goes to this machine; with one, there."""
    provider = named("sandbox")
    assert str(provider.api.url) == f"http://{SANDBOX_LISTEN}/api/fax"
    await provider.close()
    provider = named("sandbox", url="http://127.0.0.1:9/api/fax")
    assert str(provider.api.url) == "http://127.0.0.1:9/api/fax"
    await provider.close()


class Own:
    """A provider of somebody's own."""

    capabilities = Capabilities()

    def __init__(self, settings):
        self.settings = settings

    async def submit(self, line, number, document, name, commit, reference): ...

    async def status(self, line, ref): ...

    async def find(self, line, reference, number, since, ref): ...

    async def cancel(self, line, ref): ...

    async def forget(self, line, ref): ...

    async def check(self, line): ...

    async def close(self): ...


def test_a_class_of_ones_own_is_found_by_its_name(monkeypatch):
    """And is made with the settings."""
    monkeypatch.setitem(sys.modules, "own_fax", types.SimpleNamespace(Own=Own))
    provider = named("own_fax:Own")
    assert type(provider) is Own
    assert provider.settings.provider.name == "own_fax:Own"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_package.module:Class", 'no module named "no_such_package" is installed here'),
        ("mail2fax.providers:NoSuch", '"mail2fax.providers" has no class "NoSuch"'),
        ("mail2fax.providers:SANDBOX_LISTEN", '"mail2fax.providers" has no class "SANDBOX_LISTEN"'),
        ("mail2fax.model:Progress", "the class lacks submit, status, find, cancel, forget, check, close, capabilities"),
    ],
)
def test_a_class_that_cannot_be_used_is_an_answer_to_the_operator(name, text):
    """The error names the key, the value and what is wrong with it."""
    with pytest.raises(UnusableProvider) as raised:
        named(name)
    assert str(raised.value) == f'[provider] name = "{name}": {text}'
