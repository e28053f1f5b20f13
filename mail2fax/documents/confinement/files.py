"""The files a worker may use, by Landlock: it reads what programs are made of, and writes its own folder.

Neither the spool nor the settings nor a token lie in any of these. The mail comes as an open descriptor.
"""

import contextlib
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import landlockpy
from landlockpy import AccessFS, AccessNet, Ruleset, Scope

from mail2fax import resources

_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
_RUN = _READ | AccessFS.EXECUTE
# No links, pipes, sockets or devices: what a worker leaves in its folder is plain files, read later by the server.
_WRITE = (
    _READ
    | (AccessFS.WRITE_FILE | AccessFS.TRUNCATE | AccessFS.MAKE_REG | AccessFS.REMOVE_FILE)
    | (AccessFS.MAKE_DIR | AccessFS.REMOVE_DIR | AccessFS.REFER)
)
_PACKAGE = Path(__file__).parents[2]
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/fonts", "/etc/libreoffice"),
    *(
        "/var/cache/fontconfig",
        "/var/spool/libreoffice",
        "/var/lib/libreoffice",
        "/dev/urandom",
        "/dev/random",
        "/dev/zero",
    ),
)


def confine(folder: Path, *, office: bool, template: str) -> bool:
    """Let this process write in the folder alone, and read what is needed to run. False where there is no Landlock."""
    if not _supported():
        return False
    with Ruleset(handled_net=AccessNet(15), scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL) as ruleset:
        for path in readable():
            _allow(ruleset, path, _RUN if office else _READ)
        for path in (*(_office() if office else ()), *_beside(template)):
            _allow(ruleset, path, _RUN if office else _READ)
        # The shell that starts LibreOffice opens it as a file that it makes empty.
        _allow(ruleset, Path("/dev/null"), AccessFS.READ_FILE | AccessFS.WRITE_FILE | AccessFS.TRUNCATE)
        _allow(ruleset, folder, _WRITE)
        if office:  # LibreOffice makes a socket there for itself, and deletes it; no setting puts it elsewhere
            _allow(ruleset, Path("/tmp"), AccessFS.MAKE_SOCK | AccessFS.REMOVE_FILE)  # noqa: S108 -- it says so
        ruleset.restrict()
    return True


def prepare() -> None:
    """What takes time, and processes of the library's own, before the first fork."""
    _supported()
    readable()


def _supported() -> bool:
    """Whether there is Landlock. Containers whose filter does not know its calls answer "not permitted"."""
    try:
        return landlockpy.supported()
    except OSError:
        return False


def _allow(ruleset: Ruleset, path: Path, access: AccessFS) -> None:
    """A rule for a path; a file has no use for the rights of folders, and the kernel refuses them there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        ruleset.allow_path(path, access if path.is_dir() else access & ~AccessFS.READ_DIR)


@cache
def readable() -> tuple[Path, ...]:
    """What Python, its libraries and ours are made of; looked up once, by the forkserver."""
    python = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    wanted = [*map(Path, (*_SYSTEM, *python)), Path(sys.base_prefix, "lib"), _PACKAGE, resources.templates()]
    real = {path.resolve() for path in wanted if path.exists()}  # a rule is for where a file lies, links followed
    return tuple(path for path in real if not real & {*path.parents})


def _office() -> Iterator[Path]:
    """Where LibreOffice lies, which may be in /opt."""
    for name in ("soffice", "libreoffice"):
        if found := shutil.which(name):
            program = Path(found).resolve()
            yield program
            if program.parent.name == "program":
                yield program.parent.parent


def _beside(template: str) -> Iterator[Path]:
    """The cover page's template, and what lies beside it for everybody to read: a logo, but no token."""
    if not template:
        return
    yield Path(template)
    for path in Path(template).parent.rglob("*"):
        if path.is_file() and path.stat().st_mode & stat.S_IROTH:
            yield path
