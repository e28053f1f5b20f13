"""hypothesis talks to a listener and to a model of it at once: whatever the order of commands, both answer alike."""

import asyncio
import contextlib
import socket
import tempfile
import threading
from pathlib import Path
from typing import Self

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.frontdoor import Door, opened

GOOD = [f"613555012{n}" for n in range(5)]
BAD = ["911", "nobody", "19005550123", "613555012"]
LINES = st.lists(st.sampled_from(["", ".", "..", "DATA", "QUIT", "RSET", "MAIL FROM:<x@y.example>", "text", "\xff"]))


class Server:
    """A listener in a thread of its own, since the machine's steps are no coroutines."""

    def __init__(self) -> None:
        self.door: Door
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        limits = {"max_recipients": 3, "max_errors": 1000, "max_message_size": 150}
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder), limits) as self.door:
                self._ready.set()
                await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


class Dialogues(RuleBasedStateMachine):
    """The model: hello said or not, a reverse-path or none, recipients, mails kept."""

    server: Server
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.shelf = self.server.door.shelf
        self.shelf.mails.clear()
        self.hello, self.sender, self.recipients, self.kept = False, None, [], []
        self.socket = socket.create_connection(self.server.door.addresses[0])
        self.file = self.socket.makefile("rb")
        assert self.answer() == "220"

    def teardown(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(b"QUIT\r\n")
            assert self.answer() == "221"
            assert self.file.read() == b""
        self.file.close()
        self.socket.close()

    def answer(self) -> str:
        while (line := self.file.readline())[3:4] == b"-":
            assert line[:3] == b"250"
        assert line.endswith(b"\r\n")
        return line[:3].decode()

    def ask(self, command: str) -> str:
        type(self).steps += 1
        self.socket.sendall(command.encode("latin-1") + b"\r\n")
        return self.answer()

    def forget(self) -> None:
        self.sender, self.recipients = None, []

    @rule(verb=st.sampled_from(["EHLO", "HELO", "ehlo"]))
    def say_hello(self, verb):
        assert self.ask(f"{verb} model") == "250"
        self.hello = True
        self.forget()

    @rule(path=st.sampled_from(["a@x.example", "b@y.example", "bad"]))
    def mail(self, path):
        code = self.ask(f"MAIL FROM:<{path}>")
        if not self.hello or self.sender:
            assert code == "503"
        elif path == "bad":
            assert code == "553"
        else:
            assert code == "250"
            self.sender = path

    @rule(number=st.sampled_from(GOOD + BAD))
    def rcpt(self, number):
        code = self.ask(f"RCPT TO:<{number}@fax.local>")
        if not self.sender:
            assert code == "503"
        elif len(self.recipients) >= 3:
            assert code == "452"
        elif number in BAD:
            assert code[0] == "5"
        else:
            assert code == "250"
            self.recipients.append(number)

    @precondition(lambda self: not self.recipients)
    @rule()
    def data_too_early(self):
        assert self.ask("DATA") == "503"

    @precondition(lambda self: self.recipients)
    @rule(lines=LINES, bare=st.booleans(), cut=st.integers(0, 200))
    def data(self, lines, bare, cut):
        assert self.ask("DATA") == "354"
        lines = [line.encode("latin-1") for line in lines]
        content = b"".join(line + b"\r\n" for line in lines)
        wire = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
        wire = (b"bare\n" if bare else b"") + wire + b".\r\n" if lines or not bare else b"bare\n\r\n.\r\n"
        self.socket.sendall(wire[:cut])
        self.socket.sendall(wire[cut:])
        code = self.answer()
        content = b"bare\r\n" * bare + (content or b"\r\n" * bare)
        if len(content) > 150:
            assert code == "552"
        else:
            assert code == "250"
            self.kept.append((self.sender, tuple(self.recipients), content))
        self.forget()

    @rule()
    def rset(self):
        assert self.ask("RSET") == "250"
        self.forget()

    @rule(command=st.sampled_from(["NOOP", "NOOP x", "VRFY a", "HELP"]))
    def harmless(self, command):
        assert self.ask(command)[0] == "2"

    @rule(
        command=st.sampled_from(
            ["FOO", "", "EXPN x", "AUTH PLAIN", "BDAT 1", "MAIL", "RCPT", "MAIL FROM:x", "\xff", "RSET x"]
        )
    )
    def wrong(self, command):
        assert self.ask(command)[0] == "5"

    @rule()
    def ahead(self):
        """A whole mail in one segment, in whatever state we are."""
        self.socket.sendall(
            b"EHLO m\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<6135550123@fax.local>\r\nDATA\r\nx\r\n.\r\n"
        )
        assert [self.answer() for _ in range(5)] == ["250", "250", "250", "354", "250"]
        self.hello = True
        self.kept.append(("a@x.example", ("6135550123",), b"x\r\n"))
        self.forget()

    @invariant()
    def nothing_but_what_was_accepted_is_kept(self):
        mails = [(e.reverse_path, tuple(r.number for r in e.recipients), content) for e, content in self.shelf.mails]
        assert mails == self.kept


def test_the_listener_and_its_model_agree():
    """At least 2,000 commands in random order; the mails kept are exactly those that were answered 250."""
    machine = Dialogues.TestCase
    machine.settings = settings(
        max_examples=80,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    with Server() as Dialogues.server:
        Dialogues.steps = 0
        machine("runTest").runTest()
    assert Dialogues.steps >= 2000
