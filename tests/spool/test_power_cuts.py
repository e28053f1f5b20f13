"""The power is cut at any moment, and the disk holds any part of what was not synced: nothing lost, nothing doubled.

Here a few states; `python -m tests.support.powercut` tries a thousand.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.support import powercut

STATES = int(os.environ.get("MAIL2FAX_POWER_CUTS", "24"))
SEED = int(os.environ.get("MAIL2FAX_SEED", random.randrange(10**6)))

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not powercut.possible(), reason="needs Linux and a C compiler"),
]


async def test_each_promise_outlives_a_power_cut(tmp_path):
    """Each mail with a 250 is there once, with its very bytes, under its id; none else; and each start succeeds.

    It bites: with the syncs of the log, or of the WAL, left out, mails are lost.
    """
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    recording = await powercut.record(tmp_path, 60, chance)
    report = await powercut.cuts(recording, STATES, chance)
    assert report.wrongs == [], report
    assert report.promises > STATES, "few mails were promised before the cuts"
    for left_out in ("/log-", "-wal"):
        assert await loses(recording, left_out, chance), left_out


async def loses(recording, left_out, chance):
    """Whether a few cuts, or a few more, find what that sync is for: not every one falls where it matters."""
    for _ in range(8):
        if (await powercut.cuts(recording, 8, chance, deaf_to=left_out)).wrongs:
            return True
    return False


async def test_what_a_cut_leaves_is_what_was_synced(tmp_path):
    """The builder of states itself: synced bytes are there, others in part, names by their folder's sync."""
    folder = "/spool"
    op = powercut.Op
    ops = [
        op("create", 1, 0, "/spool/a", b""),
        op("write", 1, 0, "/spool/a", b"A" * 2000),
        op("sync", 1, 7, "/spool/a", b""),
        op("write", 1, 2000, "/spool/a", b"B" * 2000),
        op("synced", 1, 7, "/spool/a", b""),
        op("sync", 9, 7, folder, b""),
        op("synced", 9, 7, folder, b""),
        op("create", 2, 0, "/spool/b", b""),
    ]
    recording = powercut.Recording(folder, ops, {})
    seen, names = set(), set()
    for seed in range(60):
        with tempfile.TemporaryDirectory() as place:
            powercut.state(recording, len(ops), random.Random(seed), Path(place))
            data = Path(place, "a").read_bytes()
            assert data.startswith(b"A" * 2000)
            seen.add(data[2000:])
            names.add(Path(place, "b").exists())
    assert {b"", b"B" * 2000, bytes(2000)} < seen, "none, all, and its size alone"
    assert any(0 < one.count(b"B") < 2000 for one in seen), "a part"
    assert names == {True, False}
