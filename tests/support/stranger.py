"""A user without rights, as whom the program is run: what a service is beside root."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import PROGRAM, environment

HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stranger:
    """The user, a folder of theirs inside one of root's, and how to run the program as them, or so that they could."""

    name: str
    uid: int
    folder: Path  # root's, where they may look
    home: Path  # theirs
    under: Sequence[str]
    program: Sequence[str]
    env: Mapping[str, str]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Skips where we are not root, or no Python lies where a user without rights may look."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # Not tmp_path: each pytest that starts on this machine bars the folders of all of them.
    with tempfile.TemporaryDirectory(prefix="mail2fax-test-") as name:
        yield _stranger(Path(name))


def _stranger(folder: Path) -> Stranger:
    user = pwd.getpwnam("nobody")
    folder.chmod(0o755)
    home = folder / "var"
    home.mkdir()
    shutil.chown(home, user.pw_uid, user.pw_gid)
    under = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = environment(PYTHONPATH=os.pathsep.join([str(HERE), *packages]))
    for python in (sys.executable, "/usr/bin/python3"):
        words = ("sh", "-c", f'"{python}" -c "import mail2fax.node"')
        if not subprocess.run([*under, *words], env=env, capture_output=True, check=False).returncode:
            return Stranger("nobody", user.pw_uid, folder, home, under, (python, *PROGRAM[1:]), env)
    pytest.skip("no Python that a user without rights can run")
