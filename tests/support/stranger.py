"""A user without rights, as whom the program is run: what a service is beside root."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import PROGRAM, environment

HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stranger:
    """The user, a folder of theirs inside the test's, and how to run the program as them, or so that they could."""

    name: str
    uid: int
    home: Path
    under: Sequence[str]
    program: Sequence[str]
    env: Mapping[str, str]


@pytest.fixture
def stranger(tmp_path) -> Stranger:
    """Skips where we are not root, or no Python lies where a user without rights may look."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    user = pwd.getpwnam("nobody")
    home = tmp_path / "var"
    home.mkdir()
    shutil.chown(home, user.pw_uid, user.pw_gid)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith(("pytest-", "popen-", tmp_path.name)):
            folder.chmod(folder.stat().st_mode | 0o711)
    under = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = environment(PYTHONPATH=os.pathsep.join([str(HERE), *packages]))
    for python in (sys.executable, "/usr/bin/python3"):
        words = ("sh", "-c", f'"{python}" -c "import mail2fax.node"')
        if not subprocess.run([*under, *words], env=env, capture_output=True, check=False).returncode:
            return Stranger("nobody", user.pw_uid, home, under, (python, *PROGRAM[1:]), env)
    pytest.skip("no Python that a user without rights can run")
