"""The first things that anybody types, and commands typed as root."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mail2fax import __version__
from mail2fax.cli import hints
from mail2fax.cli.main import app
from tests.support.processes import PROGRAM, ServedBy, command, environment
from tests.support.samples import pdf


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
    assert f"no spool at {tmp_path}/spool.db" in run("list", program=program, cwd=tmp_path).stderr
    installed.write_text("[spool]\nurl = 'sqlite:///elsewhere/here.db'\n")
    assert f"no spool at {tmp_path}/elsewhere/here.db" in run("list", program=program).stderr


@pytest.mark.parametrize("number", ["4165550100", "9114951234"])
def test_nothing_is_accepted_into_a_spool_that_nobody_serves(tmp_path, number):
    """Where there is no spool, a fax is refused, and no spool is made."""
    (tmp_path / "lab.pdf").write_bytes(pdf())
    done = run("send", number, "lab.pdf", "--sender", "a@b.example", cwd=tmp_path)
    assert done.returncode == 1
    assert "there is no spool at" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lab.pdf"]


def test_a_refusal_is_told_in_words(tmp_path):
    """At the shell nobody speaks SMTP, so no reply code is shown."""
    (tmp_path / "lab.pdf").write_bytes(pdf())
    env = environment(MAIL2FAX_SPOOL__URL=f"sqlite:///{tmp_path}/spool.db")
    assert run("migrate", env=env).returncode == 0
    for words, said in (
        (("9114951234", "--sender", "a@b.example"), "mail2fax: Destination not permitted: (911) 495-1234"),
        (("4165550100", "--sender", "a@fax.local"), 'mail2fax: "a@fax.local" is an address of this fax service'),
    ):
        refused = run("send", words[0], "lab.pdf", *words[1:], cwd=tmp_path, env=env).stderr
        assert refused.startswith(said)  # no SMTP codes: nobody speaks SMTP here


@pytest.mark.parametrize("address", ["127.0.0.1:70000", "127.0.0.1:80x", ":80", "127.0.0.1"])
def test_an_address_that_cannot_be(address):
    """Words, and no traceback, for the sandbox as for a listener in the settings."""
    done = run("sandbox", "--listen", address, env=environment(COLUMNS="200"))
    assert (done.returncode, "write host:port" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    done = run("list", env=environment(MAIL2FAX_WEB__LISTEN=address))
    assert (done.returncode, "MAIL2FAX_WEB__LISTEN: write it as host:port" in done.stderr) == (2, True)


def test_a_hint_can_be_typed_as_it_stands(tmp_path):
    """After `make` the program is not on the PATH, and its settings are where somebody put them."""
    called, file = Path(sys.executable).with_name("mail2fax"), tmp_path / "my fax.toml"
    file.write_text(f"[spool]\nurl = 'sqlite:///{tmp_path}/spool.db'\n")
    env = environment(PATH="/usr/bin:/bin")
    words = (str(called), "migrate", "--config", str(file))
    subprocess.run(words, env=env, check=True, capture_output=True, timeout=60)
    done = run("list", "--config", str(file), program=[str(called)], env=env)
    assert done.stdout == f"No faxes. Send one: {called} send --config '{file}' NUMBER FILE\n"
    done = run("list", "--sender", "ann@office.example", "--config", str(file), program=[str(called)], env=env)
    assert done.stdout == "No fax fits.\n"  # there may be others
    done = run("list", program=[str(called)], env=env | {"MAIL2FAX_CONFIG": str(file)})
    assert done.stdout == f"No faxes. Send one: {called} send NUMBER FILE\n"
    done = run("list", program=[str(called)], env=env | {"PATH": f"{called.parent}:/bin", "MAIL2FAX_CONFIG": str(file)})
    assert done.stdout == "No faxes. Send one: mail2fax send NUMBER FILE\n"


def test_hints_know_every_command():
    """A command that they did not know would be named as if it were on the PATH."""
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named == hints.SETTLED | hints.ALONE


async def test_root_acts_as_the_owner_of_the_spool(stranger, faxapi, outbox):
    """A fax that root sends from a file of root's own is one that the service can prepare, whatever its size."""
    settings = {
        "spool": {"url": f"sqlite:///{stranger.home}/spool.db"},
        "provider": {"url": faxapi.url, "token": "t"},
        "poll": {"first": 0.2},
        "reply": {"relay": outbox.url},
    }
    wanted = stranger.folder / "big.pdf"
    wanted.write_bytes(pdf(size=200_000))
    wanted.chmod(0o600)
    async with ServedBy(stranger.folder, settings) as node:
        await node.up(under=stranger.under, program=stranger.program, **stranger.env)
        words = ("send", "4165550100", str(wanted), "--sender", "a@b.example")
        code, _, errors = await command(node.file, *words, program=stranger.program, **stranger.env)
        assert (code, errors) == (0, "")
        await node.event("delivered", timeout=60)
        assert {path.stat().st_uid for path in [stranger.home, *stranger.home.rglob("*")]} == {stranger.uid}


async def test_somebody_elses_spool(stranger):
    """Who may not open it is told whose it is, and what to type."""
    file, home = stranger.folder / "mail2fax.toml", stranger.home
    file.write_text(f'[spool]\nurl = "sqlite:///{home}/spool.db"\n')
    shutil.chown(home, "root", "root")
    home.chmod(0o700)
    (home / "spool.db").write_bytes(b"")
    done = run("list", "--config", str(file), program=(*stranger.under, *stranger.program), env=stranger.env)
    assert done.returncode == 1
    assert f"{home}/spool.db belongs to root: run the command as that user or as root, with sudo" in done.stderr
