"""As whom a command touches the spool: root becomes the user whose spool it is.

What root would write there, the node could not read: a mail that was accepted, and that nobody can prepare.
"""

import os
import pwd
from pathlib import Path

from mail2fax.config import Settings
from mail2fax.spool import database_file

SERVICE = "mail2fax"  # the user of the shipped unit and package


def become(settings: Settings) -> str:
    """Go on as the spool's owner if we are root and it is not root's. The owner's name, "" if nothing changed.

    Raises PermissionError, in words, when the spool is somebody else's and we are not root.
    """
    path = database_file(settings)
    if os.geteuid() != 0:
        _refuse_foreign(path)
        return ""
    owner = _owner_of(path) if path else _service()
    if owner is None or owner.pw_uid == 0:
        return ""
    if owner.pw_name:
        os.initgroups(owner.pw_name, owner.pw_gid)
    else:
        os.setgroups([])
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    return owner.pw_name or f"uid {owner.pw_uid}"


def _owner_of(path: Path) -> pwd.struct_passwd | None:
    """Whose the spool is, or, as long as there is none, the folder for it."""
    for place in (path, path.parent):
        if place.exists():
            found = place.stat()
            return _known(found.st_uid, found.st_gid)
    return None


def _known(uid: int, gid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:  # a container's user has a number, and no name here
        return pwd.struct_passwd(("", "", uid, gid, "", "/", ""))


def _service() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SERVICE)
    except KeyError:
        return None


def _refuse_foreign(path: Path | None) -> None:
    if not path:
        return
    try:
        foreign = path.exists() and not os.access(path, os.R_OK | os.W_OK)
    except PermissionError:  # not even the folder can be looked into
        foreign = True
    if foreign:
        owner = _known(_nearest(path).stat().st_uid, 0)
        who = owner.pw_name or f"uid {owner.pw_uid}"
        raise PermissionError(f"{path} belongs to {who}: run the command as that user or as root, with sudo")


def _nearest(path: Path) -> Path:
    """The spool itself, or the innermost folder above it, that can be looked at."""
    for place in (path, *path.parents):
        try:
            place.stat()
        except OSError:
            continue
        return place
    return Path("/")
