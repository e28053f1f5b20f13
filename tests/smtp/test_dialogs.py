"""Dialogs over real sockets: each file in dialogs/ is one case, dropped in.

#         a comment; the first one says what the case shows
=         settings as TOML, such as `smtp.max_recipients = 1`
@ tls     connect to the port with implicit TLS;   @ starttls   finish the handshake after its 220
C:        a line the client sends, with CR LF;     C~           raw bytes, with \\r \\n \\xNN, and no line end
S:        the server's next answer, all its lines joined by " | "; `*` stands for anything
S.        the server ends the connection
K: n      so many mails were kept
"""

import re
import ssl
import tomllib
from pathlib import Path

import pytest
import trustme

from mail2fax.smtp import answers
from mail2fax.smtp.auth import Login
from mail2fax.smtp.session import Session
from mail2fax.smtp.users import hash_line
from tests.support.frontdoor import Client, Door, opened

FOLDER = Path(__file__).parent / "dialogs"
CASES = sorted(FOLDER.glob("*.txt"))


@pytest.fixture(scope="module")
def authority():
    """Who signs the server's certificate."""
    return trustme.CA()


@pytest.fixture(scope="module")
def users():
    """The users file: bob with the password "secret"."""
    return hash_line("bob", "secret") + "\n"


@pytest.fixture
def files(tmp_path, authority, users, monkeypatch):
    """Where a case finds `cert.pem` and `users`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Login, "pause", 0.0)
    authority.issue_cert("fax.local").private_key_and_cert_chain_pem.write_to_path("cert.pem")
    Path("users").write_text(users)
    Path("users").chmod(0o600)
    return tmp_path


def lines(case: Path, mark: str) -> list[str]:
    """The case's lines that begin with this mark."""
    return [line[2:].strip() for line in case.read_text().splitlines() if line.startswith(mark)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
async def test_dialog(case, files, authority):
    """The answers are those of the file, to the letter."""
    chosen = tomllib.loads("\n".join(lines(case, "=")))
    async with opened(files, **{"smtp": {}, **chosen}) as door:
        await Play(door, authority).run(case)


class Play:
    """One case on its connection."""

    def __init__(self, door: Door, authority: trustme.CA) -> None:
        self._door = door
        self._tls = None
        self._client: Client | None = None
        self._context = ssl.create_default_context()
        authority.configure_trust(self._context)

    async def run(self, case: Path) -> None:
        for number, line in enumerate(case.read_text().splitlines(), start=1):
            mark, rest = line[:2], line[2:].strip(" ")
            if mark[:1] in {"#", "=", ""}:
                continue
            try:
                await self._step(mark, rest)
            except AssertionError as error:
                raise AssertionError(f"{case.name}:{number}: {line}\n{error}") from None

    async def _step(self, mark: str, rest: str) -> None:
        if mark == "@ " and rest == "tls":
            self._tls = self._context
            return
        if self._client is None:
            self._client = await self._door.connect(at=1 if self._tls else 0, tls=self._tls)
        client = self._client
        match mark:
            case "@ ":
                await client.writer.start_tls(self._context, server_hostname="fax.local")
            case "C:":
                client.send(rest.encode() + b"\r\n")
            case "C~":
                client.send(rest.encode().decode("unicode_escape").encode("latin-1"))
            case "S:":
                said = (await client.answer()).replace("\n", " | ")
                assert re.fullmatch(re.escape(rest).replace(r"\*", ".*"), said), f"said: {said}"
            case "S.":
                assert await client.answer() == ""
            case "K:":
                assert len(self._door.shelf.mails) == int(rest)
            case _:
                pytest.fail(f"what is {mark!r}?")


def test_every_command_has_a_dialog():
    """No command without a case that says it."""
    said = {line.split(" ")[0].upper() for case in CASES for line in lines(case, "C:")}
    assert set(Session._commands) <= said


def test_every_answer_is_heard():
    """Each answer of the table that has one form is heard in a dialog, or in a test by its name."""
    heard = "\n".join(case.read_text() for case in CASES)
    tests = "\n".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    for name, text in vars(answers).items():
        if isinstance(text, str) and not name.startswith("__"):
            assert text in heard or f"answers.{name}" in tests, name


def test_every_answer_has_its_enhanced_code():
    """RFC 2034: each 2yz, 4yz and 5yz but the greeting, with the class of the enhanced code that of the reply."""
    for name, text in vars(answers).items():
        if isinstance(text, str) and not name.startswith("__") and not text.startswith("354"):
            assert re.fullmatch(r"([245])\d\d \1\.\d{1,3}\.\d{1,3} [ -~]{1,500}", text), name
