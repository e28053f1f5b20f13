"""The program, killed with -9 at one moment chosen before: where strace is not installed, and where it cannot look.

    KILL_AT=commit:3:before python -m tests.support.killpoint serve --config …

Kinds of moments: `fsync` and `commit` of the spool; `client`, `provider` and `smarthost`, a piece sent on such a
connection. KILL_PORTS says which port is whose, as JSON.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

KINDS = ("fsync", "commit", "client", "provider", "smarthost")
SIDES = ("before", "after")

_kind, _number, _side = os.environ["KILL_AT"].split(":")
_ports: dict[str, str] = json.loads(os.environ["KILL_PORTS"])
_left = int(_number)
_lock = threading.Lock()


def _comes(kind: str) -> bool:
    """Whether this is the moment."""
    global _left
    if kind != _kind:
        return False
    with _lock:
        _left -= 1
        return _left == 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _deadly(kind_of: Callable[..., str], call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def made(*arguments: Any, **named: Any) -> Any:
        comes = _comes(kind_of(*arguments))
        if comes and _side == "before":
            _die()
        result = call(*arguments, **named)
        if comes:
            _die()
        return result

    return made


def _whose(sock: socket.socket, *_: Any) -> str:
    try:
        ends = (sock.getpeername(), sock.getsockname())
    except OSError:
        return ""
    return next((_ports[str(end[1])] for end in ends if len(end) > 1 and str(end[1]) in _ports), "")


def arm() -> None:
    """Lay the traps."""
    os.fsync = _deadly(lambda *_: "fsync", os.fsync)
    DefaultDialect.do_commit = _deadly(lambda *_: "commit", DefaultDialect.do_commit)
    for name in ("send", "sendmsg"):
        setattr(socket.socket, name, _deadly(_whose, getattr(socket.socket, name)))


if __name__ == "__main__":
    arm()
    from mail2fax.cli.main import main

    main()
