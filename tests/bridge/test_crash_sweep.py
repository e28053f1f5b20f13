"""Killed with -9 at every kind of moment and started again: nothing is lost, nothing doubled, nobody left untold.

Here some moments of each kind; MAIL2FAX_SWEEP sets how many (0: every one), MAIL2FAX_SEED chooses them, and
`python -m tests.support.crashsweep` does the same by hand.
"""

import os
import random
import shutil

import pytest

from tests.support import crashsweep

COUNT = int(os.environ.get("MAIL2FAX_SWEEP", "6"))
SEED = int(os.environ.get("MAIL2FAX_SEED", random.randrange(10**6)))


async def _swept(folder, kinds, spool_url=""):
    chance = random.Random(SEED)
    moments = crashsweep.some(kinds, COUNT, chance) if COUNT else list(crashsweep.every(kinds))
    report = await crashsweep.sweep(folder, moments, spool_url=spool_url)
    print(f"seed {SEED}, {[str(moment) for moment in moments]}\n{report}")
    assert report.wrongs == [], report
    assert report.kills >= len(moments) / 2, f"few were reached: {report.missed}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kinds", [("commit", "fsync"), ("client", "provider", "smarthost")], ids="-".join)
async def test_killed_between_two_steps(tmp_path, kinds):
    """Before and after each commit and fsync, and each piece sent to a client, the provider or the smarthost."""
    await _swept(tmp_path, kinds)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
async def test_killed_in_the_middle_of_a_commit(tmp_path):
    """At the fsync and fdatasync calls of SQLite itself."""
    await _swept(tmp_path, ("fdatasync",))


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_killed_on_postgresql(tmp_path, postgres_url):
    """The same with the spool in a database that lives on."""
    await _swept(tmp_path, ("commit", "provider", "smarthost"), postgres_url)
