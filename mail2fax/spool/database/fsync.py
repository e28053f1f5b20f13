"""What is on disk, and not only in the kernel's memory: the one word for it, and the calls that bring it there."""

import os
from pathlib import Path

_PIECE = 1024 * 1024  # bytes that are held at once


class NotOnDisk(OSError):  # noqa: N818 -- what it says is the error
    """It is written and can be read, but may be gone after a power cut."""

    @classmethod
    def because(cls, error: BaseException) -> "NotOnDisk":
        """With the number that tells a full disk from a broken one."""
        return cls(getattr(error, "errno", None), getattr(error, "strerror", None) or str(error))


sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has only the one


def sync_folder(folder: Path) -> None:
    """Back when the names in a folder are on disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_once_more(path: Path, at: int = 0) -> None:
    """The very same bytes from there on, so that no reader sees a difference, and to the disk. Raises OSError.

    After a sync that failed, or a process that died, the kernel may take for written what is not.
    """
    with path.open("r+b", buffering=0) as file:
        while data := os.pread(file.fileno(), _PIECE, at):
            at += os.pwrite(file.fileno(), data, at)
        os.fsync(file.fileno())
