"""What a process may do beyond its user's rights, and who may look into it."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = (ctypes.c_uint32 * 2)(0x20080522, 0)  # capset(2): version 3 of the form, this process
_NONE = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; two words each
_LIBC = ctypes.CDLL(None)


def hide() -> None:
    """Let no other process of this user read or trace this one, nor its children; no core file either."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def call(name: str) -> None:
    """What `ps` and `top` call this process; 15 characters at most."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def end_with_parent() -> None:
    """End when the parent has."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def drop() -> bool:
    """Give up every capability, root's or those in a user namespace of its own, and the ways to gain one."""
    if sys.platform != "linux":
        return False
    hide()  # once more: the kernel undoes it when a process changes its credentials
    hardened = _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    _LIBC.capset(_CAPABILITIES, _NONE)
    left = (ctypes.c_uint32 * 6)()
    return bool(_LIBC.capget(_CAPABILITIES, left) == 0 and not any(left) and hardened)
