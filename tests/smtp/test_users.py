"""Logins: the users file, and the check of a password."""

import asyncio
import statistics
import time

import argon2
import pytest

from mail2fax.config import ConfigError
from mail2fax.smtp.users import Users, hash_line


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "users"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return str(path)

    return write


BOB = hash_line("bob", "right horse", ["bob@office.example", "*@sales.example"])
EVE = hash_line("Eve", "pässword")


async def test_a_login(file):
    """The right password gives the user with the senders it is bound to; a name's case does not matter."""
    users = Users(file("# people", "", BOB, EVE))
    assert len(users) == 2
    bob = await users.verify("BOB", "right horse")
    assert (bob.name, bob.patterns) == ("bob", ("bob@office.example", "*@sales.example"))
    assert (await users.verify("eve", "pässword")).patterns == ()
    for name, password in (
        ("bob", "wrong"),
        ("bob", ""),
        ("bob", "pässword"),
        ("", ""),
        ("mallory", "right horse"),
        ("bob", "x" * 9999),
    ):
        assert await users.verify(name, password) is None
    users.close()


def test_nobody_without_a_file():
    """Without users_file no login is right."""
    users = Users("")
    assert len(users) == 0
    assert asyncio.run(users.verify("bob", "right horse")) is None


async def test_unknown_names_take_as_long(file):
    """From the time it takes, nobody learns which logins exist, whatever the hashes in the file cost."""
    dear = argon2.PasswordHasher(time_cost=8, memory_cost=19_456, parallelism=1).hash("x")
    users = Users(file(f"bob:{dear}", EVE))

    async def timed(name):
        took = []
        for _ in range(5):
            started = time.process_time()  # of this process only: others may be busy
            assert await users.verify(name, "wrong") is None
            took.append(time.process_time() - started)
        return statistics.median(took)

    known, unknown = await timed("bob"), await timed("mallory")
    assert 0.5 < known / unknown < 2


async def test_the_loop_does_not_wait(file):
    """While passwords are checked, the server goes on: at no time is the event loop away for a hash's length."""
    users = Users(file(BOB))
    pauses = []

    async def watch():
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(users.verify("bob", "wrong") for _ in range(4)))
    watcher.cancel()
    assert max(pauses) < 0.02  # of the loop's own thread; one hash takes more
    users.close()


async def test_reload(file, tmp_path):
    """A new file counts from the reload on; one with mistakes leaves the logins as they were."""
    users = Users(file(BOB))
    file(EVE)
    assert await users.verify("bob", "right horse")
    users.reload()
    assert await users.verify("bob", "right horse") is None
    assert await users.verify("eve", "pässword")
    file("eve")
    with pytest.raises(ConfigError):
        users.reload()
    (tmp_path / "users").unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        users.reload()
    assert await users.verify("eve", "pässword")


def test_mistakes(file):
    """Each wrong line is told by its number, and never repeated: it may hold a password."""
    path = file(BOB, "bob", "anna:secret-in-plain", f"{EVE}:office.example", BOB.replace("bob", "BOB", 1), "")
    with pytest.raises(ConfigError) as caught:
        Users(path)
    assert caught.value.problems == [
        f"{path}: line 2: write it as name:hash, as `mail2fax passwd` does",
        f"{path}: line 3: write it as name:hash, as `mail2fax passwd` does",
        f"{path}: line 4: write it as *, bob@office.example or *@office.example: it must fit the whole address",
        f"{path}: line 5: BOB stands here twice",
    ]
    assert "secret-in-plain" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "password", "patterns"),
    [
        ("", "x", []),
        ("a:b", "x", []),
        ("a b", "x", []),
        ("#a", "x", []),
        ("a\n", "x", []),
        ("bob", "", []),
        ("bob", "x" * 1025, []),
        ("bob", "x", ["office.example"]),
        ("bob", "x", ["a,b@x"]),
    ],
)
def test_lines_that_are_not_made(name, password, patterns):
    """`mail2fax passwd` makes no line that would be read back differently."""
    with pytest.raises(ValueError):
        hash_line(name, password, patterns)


def test_hashes_are_not_shown(file):
    """No repr of a user shows the hash."""
    users = Users(file(BOB))
    user = asyncio.run(users.verify("bob", "right horse"))
    assert "argon2" not in repr(user) + str(user)
    assert BOB.startswith("bob:$argon2id$")
