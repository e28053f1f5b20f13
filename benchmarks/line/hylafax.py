"""What is asked of HylaFAX's server: take a fax, say how it is. Its protocol is FTP's, with commands for jobs (hfaxd(8))."""

import re
import socket
from dataclasses import dataclass
from typing import Self


class RefusedError(RuntimeError):
    """The server said no."""


@dataclass(frozen=True, slots=True)
class Job:
    """How a fax stands."""

    state: str  # "DONE", "FAILED", "ACTIVE", …
    status: str  # why, in words
    pages: int  # confirmed
    call: str  # of the last call, as its log is named


class Hylafax:
    """A connection to hfaxd on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._lines = self._socket.makefile("r", encoding="utf-8", errors="replace")
        self._answer()
        self._say("USER mail2fax")
        self._say("TYPE I")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def submit(self, number: str, pdf: bytes, *, lines: int) -> str:
        """Have a PDF faxed at 98 or 196 lines an inch; the job's number."""
        document = self._store(pdf)
        job = _found(r"jobid: (\d+)", self._say("JNEW"))
        settings = {
            "FROMUSER": "mail2fax",
            "NOTIFYADDR": "nobody@localhost",
            "NOTIFY": "none",
            "DIALSTRING": number,
            "EXTERNAL": number,
            "LASTTIME": "000200",
            "MAXDIALS": 6,
            "MAXTRIES": 2,
            "VRES": lines,
            "PAGEWIDTH": 216,
            "PAGELENGTH": 279,
            "PAGECHOP": "none",
            "DOCUMENT": document,
        }
        for name, value in settings.items():
            self._say(f"JPARM {name} {value}")
        self._say("JSUBM")
        return job

    def job(self, number: str) -> Job:
        """How it stands. On a connection of its own: one that submitted keeps the state of then."""
        self._say(f"JOB {number}")
        state, status, pages, call = (self._say(f"JPARM {name}") for name in ("STATE", "STATUS", "NPAGES", "COMMID"))
        return Job(state, status, int(pages), call)

    def _store(self, pdf: bytes) -> str:
        numbers = _found(r"((?:\d+,){5}\d+)", self._say("PASV")).split(",")
        with socket.create_connection((".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])), 30) as data:
            opened = self._say("STOT")
            data.sendall(pdf)
        self._answer()
        return _found(r"FILE: (\S+)", opened)

    def _say(self, command: str) -> str:
        self._socket.sendall(f"{command}\r\n".encode())
        return self._answer()

    def _answer(self) -> str:
        """The text of the last line of an answer, RFC 959 section 4.2. Raises RefusedError."""
        while line := self._lines.readline():
            code, mark, text = line[:3], line[3:4], line[4:].strip()
            if code.isdigit() and mark == " ":
                if code[0] in "45":
                    raise RefusedError(line.strip())
                return text
        message = "the connection was closed"
        raise RefusedError(message)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if not match:
        raise RefusedError(text)
    return match.group(1)
