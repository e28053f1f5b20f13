"""What `mail2fax init` writes: good settings or nothing, nothing over what is there, each file for those who need it.

Below /etc/mail2fax as root: with a user of its own, a folder for the spool and a unit. Anywhere else: the files alone.
"""

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mail2fax import resources
from mail2fax.cli import owner
from mail2fax.config import ConfigError, loader
from mail2fax.model import Refused

STATE = Path("/var/lib/mail2fax")
UNIT = Path("/etc/systemd/system/mail2fax.service")
_PACKAGED = (Path("/usr/lib/systemd/system/mail2fax.service"), Path("/lib/systemd/system/mail2fax.service"))
_PROGRAM = "/opt/mail2fax/bin/mail2fax"  # what the shipped unit calls
_SECRET = 0o640
_ENTERED, _READ = 0o755, 0o644


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation lies."""

    config: Path
    installed: bool  # the one of this machine, which is run by systemd

    @property
    def spool(self) -> Path:
        """The spool's file."""
        return (STATE if self.installed else self.config.absolute().parent) / "spool.db"


def refuse_existing(place: Place) -> None:
    """Raise Refused if there are settings, or a secret, that would be lost."""
    for name in (place.config.name, "token", "users"):
        path = place.config.with_name(name)
        if path.exists():
            raise Refused(f"{path} is there already. Edit it, or move it away to begin anew.")


def write(place: Place, texts: Mapping[str, str]) -> list[str]:
    """Write these files (an empty one is left out), once the settings among them are found good. What was done.

    Raises ConfigError, and then nothing was made or written.
    """
    folder = place.config.absolute().parent
    _try_out(place.config, texts)
    done = _prepare_machine() if place.installed else []
    _make(folder, for_service=place.installed)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".init-") as name:
        draft = Path(name)
        _write_all(draft, texts, group=place.installed)
        for file in sorted(draft.iterdir(), key=lambda file: file.name == place.config.name):  # the settings last
            file.rename(folder / file.name)
            done.append(f"wrote {folder / file.name}")
    return [*done, *(_write_unit() if place.installed else [])]


def _make(folder: Path, *, for_service: bool) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True)
    if for_service:
        folder.chmod(_ENTERED)  # whatever root's umask is, the service must come to its settings


def _try_out(config: Path, texts: Mapping[str, str]) -> None:
    """Read them, in a folder that only this user can enter. Raises ConfigError, which names the files to be."""
    with tempfile.TemporaryDirectory(prefix="mail2fax-init-") as name:
        _write_all(Path(name), texts, group=False)
        try:
            loader.load(Path(name, config.name), {})
        except ConfigError as error:
            folder = str(config.absolute().parent)
            raise ConfigError([line.replace(name, folder) for line in error.problems]) from None


def _write_all(folder: Path, texts: Mapping[str, str], *, group: bool) -> None:
    for name, text in texts.items():
        if text:
            _write_secret(folder / name, text, group=group)


def _write_secret(path: Path, text: str, *, group: bool) -> None:
    """For its owner, and the service's group if there is one; never for a moment for everybody."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        if group:
            os.fchown(file.fileno(), 0, grp.getgrnam(owner.SERVICE).gr_gid)
            os.fchmod(file.fileno(), _SECRET)


def _prepare_machine() -> list[str]:
    done = []
    try:
        pwd.getpwnam(owner.SERVICE)
    except KeyError:
        _add_user()
        done.append(f"made the user {owner.SERVICE}")
    if not STATE.exists():
        STATE.mkdir(mode=0o700, parents=True)
        shutil.chown(STATE, owner.SERVICE, owner.SERVICE)
        done.append(f"made {STATE}")
    return done


def _add_user() -> None:
    command = ["useradd", "--system", "--user-group", "--home-dir", str(STATE), "--shell", "/usr/sbin/nologin"]
    try:
        subprocess.run([*command, owner.SERVICE], check=True, capture_output=True, text=True)  # noqa: S603 -- our words
    except FileNotFoundError:
        raise Refused(f"there is no useradd here: make a user {owner.SERVICE} and call this again") from None
    except subprocess.CalledProcessError as error:
        raise Refused(f"useradd {owner.SERVICE}: {error.stderr.strip()}") from None


def _write_unit() -> list[str]:
    if UNIT.exists() or any(unit.exists() for unit in _PACKAGED) or not UNIT.parent.is_dir():
        return []
    text = resources.unit().read_text("utf-8").replace(_PROGRAM, str(program()))
    UNIT.write_text(text, "utf-8")
    UNIT.chmod(_READ)
    return [f"wrote {UNIT}"]


def program() -> Path:
    """Where this program is, for a unit to call it."""
    beside_python = Path(sys.executable).with_name("mail2fax")
    found = str(beside_python) if beside_python.exists() else shutil.which("mail2fax")
    return Path(found or _PROGRAM)
