"""The first things that anybody types, and commands typed as root."""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mail2fax import __version__
from tests.support.processes import PROGRAM, ServedBy, environment
from tests.support.samples import pdf

HERE = Path(__file__).parents[2]
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def run(*words, program=PROGRAM, env=None, **options):
    env = env or environment()
    return subprocess.run([*program, *words], capture_output=True, text=True, env=env, timeout=60, **options)


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version(word):
    """The first line of every report."""
    done = run(word)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"mail2fax {__version__}\n", "")


@pytest.mark.parametrize("words", [("-h",), ("--help",), ("list", "-h"), ("send", "--help")])
def test_help(words):
    """Both ways of asking; nothing that stands in the help is taken for markup."""
    done = run(*words)
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert not re.search(r"\s@fax\.local", done.stdout), "a number was eaten"
    assert len(words) > 1 or "4165550123@fax.local" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    """Each shell is given a script, and that script an answer."""
    env = environment(
        _MAIL2FAX_COMPLETE=f"complete_{shell}",
        _TYPER_COMPLETE_ARGS="mail2fax re",
        COMP_WORDS="mail2fax re",
        COMP_CWORD="1",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'mail2fax'\n" + PROGRAM[2]]
    done = subprocess.run(program, capture_output=True, text=True, env=env, timeout=60)
    assert {"release", "resolve", "retry"} <= set(re.findall(r"\w+", done.stdout)), done


def test_the_settings_of_the_installed_service(tmp_path):
    """Without --config a command takes the installed file, if there is one."""
    installed = tmp_path / "mail2fax.toml"
    program = (
        sys.executable,
        "-c",
        "import sys, pathlib; from mail2fax.cli import console\n"
        f"console.INSTALLED = pathlib.Path({str(installed)!r})\n" + PROGRAM[2],
    )
    assert "spool.db does not exist" in run("list", program=program, cwd=tmp_path).stderr.replace("\n", "")
    installed.write_text("[spool]\nurl = 'sqlite:///elsewhere/here.db'\n")
    assert f"{tmp_path}/elsewhere/here.db does not exist" in run("list", program=program).stderr.replace("\n", "")


@pytest.mark.parametrize("number", ["4165550100", "9114951234"])
def test_nothing_is_accepted_into_a_spool_that_nobody_serves(tmp_path, number):
    """Where there is no spool, a fax is refused, and no spool is made."""
    (tmp_path / "lab.pdf").write_bytes(pdf())
    done = run("send", number, "lab.pdf", "--sender", "a@b.example", cwd=tmp_path)
    assert done.returncode == 1
    assert "spool.db does not exist" in done.stderr
    assert "Nothing was accepted" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lab.pdf"]


@pytest.fixture
def stranger(tmp_path):
    """A user that is not root, who may look into the test's folder; a folder of theirs."""
    user = pwd.getpwnam("nobody")
    home = tmp_path / "var"
    home.mkdir()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.getuid() and str(folder) not in {"/", "/tmp"}:
            folder.chmod(folder.stat().st_mode | 0o711)
    shutil.chown(home, user.pw_uid, user.pw_gid)
    return user, home


def for_anybody(user):
    """The program as a user without rights can run it, and its environment; skips where there is none."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env = environment(PYTHONPATH=os.pathsep.join([str(HERE), *packages]))
    become = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    for python in (sys.executable, "/usr/bin/python3"):  # the first may lie where only root may look
        words = ("sh", "-c", f'"{python}" -c "import mail2fax.node"')
        if not subprocess.run([*become, *words], env=env, capture_output=True, check=False).returncode:
            return become, (python, *PROGRAM[1:]), env
    pytest.skip("no Python that a user without rights can run")


@ROOT
async def test_root_acts_as_the_owner_of_the_spool(tmp_path, stranger, faxapi, outbox):
    """A fax that root sends from a file of root's own is one that the service can prepare, whatever its size."""
    user, home = stranger
    settings = {
        "spool": {"url": f"sqlite:///{home}/spool.db"},
        "provider": {"url": faxapi.url, "token": "t"},
        "poll": {"first": 0.2},
        "reply": {"relay": outbox.url},
    }
    wanted = tmp_path / "big.pdf"
    wanted.write_bytes(pdf(size=200_000))
    wanted.chmod(0o600)
    become, program, env = for_anybody(user)
    async with ServedBy(tmp_path, settings) as node:
        await node.up(under=become, program=program, **env)
        words = ("send", "4165550100", str(wanted), "--sender", "a@b.example", "--config", str(node.file))
        done = await asyncio.to_thread(run, *words, program=program, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        await node.event("delivered", timeout=60)
        assert {path.stat().st_uid for path in [home, *home.rglob("*")]} == {user.pw_uid}


@ROOT
async def test_somebody_elses_spool(tmp_path, stranger):
    """Who may not open it is told whose it is, and what to type."""
    user, home = stranger
    file = tmp_path / "mail2fax.toml"
    file.write_text(f'[spool]\nurl = "sqlite:///{home}/spool.db"\n')
    shutil.chown(home, "root", "root")
    home.chmod(0o700)
    (home / "spool.db").write_bytes(b"")
    done = run("list", "--config", str(file), program=("setpriv", f"--reuid={user.pw_uid}", "--clear-groups", *PROGRAM))
    assert done.returncode == 1
    assert f"{home}/spool.db belongs to root: run the command as that user or as root, with sudo" in done.stderr
