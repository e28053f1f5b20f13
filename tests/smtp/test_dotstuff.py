"""The DATA decoder: the end is found wherever chunks are cut, and nothing else is ever taken for it."""

import asyncio
import contextlib
import random
import re
import tracemalloc
from itertools import pairwise

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given, settings
from hypothesis import strategies as st

from mail2fax.smtp.dotstuff import Decoder, Fault

LIMIT = 10_000_000
# The eight ends of data that servers have wrongly taken for one (CVE-2024-27305 and its kin).
FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n"]


def decode(wire: bytes, cuts=(), limit: int = LIMIT, *, normalize=False) -> tuple[bytes, Fault | None, bytes | None]:
    """What a decoder makes of these bytes cut there: the mail, the fault, and what follows the end."""
    taken: list[bytes] = []
    decoder = Decoder(taken.append, limit, normalize=normalize)
    edges = [0, *sorted(cuts), len(wire)]
    for begin, end in pairwise(edges):
        rest = decoder.feed(wire[begin:end])
        if rest is not None:
            return b"".join(taken), decoder.fault, rest + wire[end:]
    return b"".join(taken), decoder.fault, None


def stuffed(mail: bytes) -> bytes:
    """The mail as a client sends it, with its end."""
    lines = mail.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"


@pytest.mark.parametrize(
    ("wire", "mail"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"x\r\n.\r\n", b"x\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n.\r\n", b"..\r\n"),
        (b".x\r\n.\r\n", b"x\r\n"),
        (b"x\r\n..\r\n..y\r\n.\r\n", b"x\r\n.\r\n.y\r\n"),
        (b"x\r\n\r\n..\r\n.\r\n", b"x\r\n\r\n.\r\n"),
    ],
)
def test_dots_are_undone_at_every_cut(wire, mail):
    """RFC 5321 section 4.5.2, whatever two chunks the bytes come in."""
    for cut in range(len(wire) + 1):
        assert decode(wire + b"QUIT\r\n", [cut]) == (mail, None, b"QUIT\r\n")


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_false_ends_do_not_end(end):
    """CVE-2024-27305: only CR LF . CR LF ends the data, at whatever cut; what pretends to is refused at the true end."""
    wire = b"one" + end + b"MAIL FROM:<evil@x.example>\r\n"
    for cut in range(len(wire) + 1):
        assert decode(wire, [cut])[2] is None
        _, fault, rest = decode(wire + b".\r\nNOOP\r\n", [cut])
        assert rest == b"NOOP\r\n"
        assert fault == (None if end == b"\r\n\0.\r\n" else Fault.BARE)


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_false_ends_do_not_end_when_they_are_set_right_either(end):
    """The same with `normalize`: they are text of the one mail, and what follows them never becomes a command."""
    wire = b"one" + end + b"MAIL FROM:<evil@x.example>\r\n"
    mails = set()
    for cut in range(len(wire) + 1):
        assert decode(wire, [cut], normalize=True)[2] is None
        mail, fault, rest = decode(wire + b".\r\nNOOP\r\n", [cut], normalize=True)
        assert (fault, rest) == (None, b"NOOP\r\n")
        mails.add(mail)
    (mail,) = mails
    assert mail.startswith(b"one")
    assert b"MAIL FROM:<evil@x.example>\r\n" in mail
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", mail)


@pytest.mark.parametrize(
    ("wire", "mail"),
    [
        (b"a\nb\r\n", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\rb\r\n", b"a b\r\n"),
        (b"a\r\r\r\nb\r\n", b"a \r\nb\r\n"),
        (b"a\r\rb\r\n", b"a  b\r\n"),
        (b"a\n\nb\n\r\n", b"a\r\n\r\nb\r\n\r\n"),
        (b"a\n..b\r\n", b"a\r\n.b\r\n"),  # Python's smtplib doubles the dot after LF, too
        (b"a\n.\r\n", b"a\r\n\r\n"),
        (b"a\r\n.\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b".\n.\r\r\n", b"\r\n\r\n"),
        (b"x" * 5000 + b"\n..y\r\n", b"x" * 5000 + b"\r\n.y\r\n"),
    ],
)
def test_bare_line_ends_are_set_right(wire, mail):
    """LF and CR CR LF are line ends, another CR is a blank, at whatever cut."""
    for cut in {*range(min(len(wire), 12) + 1), *range(max(len(wire) - 12, 0), len(wire) + 5)}:
        assert decode(wire + b".\r\n", [cut], normalize=True) == (mail, None, b"")


def set_right(wire: bytes) -> bytes:
    """A mail as it is kept, from its bytes before the end, by the rule as one would write it down."""
    lines = re.sub(rb"\r(?!\r?\n)", b" ", wire)
    lines = re.split(rb"\r{0,2}\n", lines)
    assert lines.pop() == b""
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)


@settings(max_examples=600, deadline=None)
@given(
    pieces=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\r\n", b"\n.", b"z" * 4095]), max_size=30),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
def test_cuts_change_nothing_of_what_is_set_right(pieces, cuts):
    """Any muddle of line ends and dots, cut anywhere: the first CR LF . CR LF ends it, and the rest is set right."""
    wire = b"".join(pieces) + b"\r\n.\r\nQUIT\r\n"
    whole = b"\r\n" + wire  # the CR LF of DATA itself
    before, _, rest = whole.partition(b"\r\n.\r\n")
    mail = set_right((before + b"\r\n")[2:])
    assert decode(wire, [min(cut, len(wire)) for cut in cuts], normalize=True) == (mail, None, rest)


def test_size_counts_the_mail_without_its_stuffing():
    """RFC 1870: a mail of exactly the limit passes, one byte more does not, and both are read to their end."""
    mail = b".\r\n" * 100
    assert decode(stuffed(mail), limit=300) == (mail, None, b"")
    assert decode(stuffed(mail), limit=299)[1:] == (Fault.SIZE, b"")


@pytest.mark.parametrize(("normalize", "filling"), [(False, b"x"), (True, b"x"), (True, b"\r"), (True, b"\n")])
def test_one_endless_line_takes_no_memory(normalize, filling):
    """50 MB without a line end pass through in pieces; what is held back stays small."""
    seen = 0

    def count(block: bytes) -> None:
        nonlocal seen
        seen += len(block)

    decoder = Decoder(count, LIMIT * 20, normalize=normalize)
    chunk = filling * 50_000
    tracemalloc.start()
    for _ in range(1000):
        assert decoder.feed(chunk) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert abs(seen - (100_000_000 if filling == b"\n" else 50_000_000)) <= 2
    assert peak < 300_000
    assert decoder.feed(b"\r\n.\r\n") == b""
    assert decoder.fault is None


def test_a_dot_inside_of_a_long_line_is_no_stuffing():
    """A line that is passed on in pieces may have a dot at a piece's beginning."""
    mail = b"x" * 5000 + b"." * 5000 + b"\r\n.y\r\n"
    wire = stuffed(mail)
    for cut in (4999, 5000, 5001, 9999, 10_000, 10_001, 10_002, 10_003):
        assert decode(wire, [cut]) == (mail, None, b"")
    assert decode(wire, range(0, len(wire), 7)) == (mail, None, b"")


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b".")), max_size=20),
    cuts=st.lists(st.integers(0, 700)),
)
def test_what_is_stuffed_comes_out(lines, cuts):
    """Any lines, stuffed by the rule, cut anywhere, come out as they were."""
    mail = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(mail)
    assert decode(wire + b"RSET\r\n", [min(cut, len(wire)) for cut in cuts]) == (mail, None, b"RSET\r\n")


class Stock:
    """aiosmtpd's own smtp_DATA, fed by hand."""

    class Server(SMTP):
        line_length_limit = 1 << 20  # ours takes lines of any length

    class Writer:
        def write(self, data: bytes) -> None:
            pass

        async def drain(self) -> None:
            pass

        def close(self) -> None:
            pass

    def __init__(self) -> None:
        self.content: bytes | None = None
        self._server = self.Server(self, hostname="x", loop=asyncio.get_running_loop(), data_size_limit=None)
        self._server.session = self._server._create_session()
        self._server.session.host_name = "x"
        self._server.transport = self
        self._server._writer = self.Writer()

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        self.content = bytes(envelope.content)
        return "250 OK"

    async def decode(self, chunks) -> tuple[bytes | None, bytes | None]:
        """The mail, and what follows its end."""
        self.content = None
        reader = self._server._reader = asyncio.StreamReader(limit=1 << 20)
        self._server.envelope = self._server._create_envelope()
        self._server.envelope.rcpt_tos.append("x")
        task = asyncio.ensure_future(self._server.smtp_DATA(None))
        for chunk in chunks:
            reader.feed_data(chunk)
            await asyncio.sleep(0)
        for _ in range(400):
            if task.done():
                return self.content, bytes(reader._buffer)
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return None, None


TOKENS = [b"\r\n", b"\r\n", b".", b"..", b"\r\n.", b"\r\n..\r\n", b"abc", b"\r\n.x\r\n", b"=2E", b"\r\n\r\n", b"a.a.a."]
BARE = [b"\r", b"\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n"]


def random_body(chance: random.Random, *, bare: bool) -> bytes:
    """Text that is mostly line ends and dots, or lines of one length with a few faults."""
    if chance.random() < 0.4:
        body = bytearray((b"a" * chance.randrange(9) + b"\r\n") * chance.randrange(1, 25))
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(body))
            if bare or body[place] not in b"\r\n":
                body[place : place + 1] = chance.choice([b"\r", b"\n", b".", b"", b"\n\r"] if bare else [b".", b"a"])
        return bytes(body)
    tokens = TOKENS + [b"z" * chance.choice([0, 80, 998, 1001, 4094, 4096, 4099, 9000])] + (BARE if bare else [])
    return b"".join(chance.choice(tokens) for _ in range(chance.randrange(40)))


async def test_the_same_as_aiosmtpd_but_for_bare_line_ends():
    """8,000 random mails in random chunks: the same end and the same bytes as the stock method, or BARE where it has one."""
    chance = random.Random(20240527)
    stock = Stock()
    seen = dict.fromkeys(("same", "bare"), 0)
    for round_ in range(8000):
        body = random_body(chance, bare=round_ % 3 == 0)
        wire = body + (b".\r\n" if not body or body.endswith(b"\r\n") else b"\r\n.\r\n") + b"NOOP\r\nNOOP\r\n"
        many = len(wire) if len(wire) < 200 else 30
        cuts = [chance.randrange(len(wire) + 1) for _ in range(chance.choice([0, 1, 3, 10, many]))]
        edges = [0, *sorted(cuts), len(wire)]
        content, rest = await stock.decode(wire[a:b] for a, b in pairwise(edges) if a < b)
        mail, fault, our_rest = decode(wire, cuts)
        assert our_rest == rest, (wire, cuts)
        lines = b"" if wire.startswith(b".\r\n") else wire[: wire.find(b"\r\n.\r\n") + 2]
        bare = lines.replace(b"\r\n", b"")
        if b"\r" in bare or b"\n" in bare:
            assert fault is Fault.BARE, (wire, cuts)
            seen["bare"] += 1
        else:
            assert (mail, fault) == (content, None), (wire, cuts)
            seen["same"] += 1
    assert seen["same"] > 4000
    assert seen["bare"] > 1000
