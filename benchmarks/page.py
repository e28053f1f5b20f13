"""The operator's page over many faxes: processor time of this process for each page, the middle of some.

python -m benchmarks.page            50,000 faxes, on SQLite
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks import history
from benchmarks.table import machine, median, show
from mail2fax.config import Settings
from mail2fax.spool import open_spool
from tests.support import desk

GOAL = 200.0  # milliseconds
FAX = "B000000000007-1"
PAGES = (
    "/",
    "/faxes",
    "/faxes?state=delivered",
    "/faxes?sender=user7@office.example",
    "/faxes?sender=office",
    "/faxes?number=416",
    "/faxes?state=failed,unknown&line=-&from=2020-01-01",
    "/faxes?before=B000000025000-1",
    f"/fax/{FAX}",
    "/month",
    "/refused",
    "/explain",
    f"/act/retry?fax={FAX}",
    "/act/hold?everyone=1",
)


async def run(many: int, rounds: int) -> list[tuple[str, float]]:
    """Each page, and the milliseconds it takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings.model_validate({"spool": {"url": f"sqlite:///{folder}/spool.db"}})
        async with open_spool(settings, node="bench") as spool:
            await spool.change(history.fill, many, 100)
            async with desk.serving(spool, folder) as served, served.as_("dora") as client:
                return [(path, await _cost(client, path, rounds)) for path in PAGES]


async def _cost(client, path: str, rounds: int) -> float:
    spent = []
    for _ in range(rounds + 1):  # the first fills the caches
        begun = time.process_time()
        answer = await client.get(path)
        spent.append(1000 * (time.process_time() - begun))
        assert answer.status_code in {200, 409}, (path, answer.text)
    return median(spent[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faxes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    found = asyncio.run(run(asked.faxes, asked.rounds))
    title = f"The operator's page, {asked.faxes:,} faxes: processor time, client's included\n{machine()}"
    show(
        title,
        ("page", "ms", f"goal {GOAL:.0f} ms"),
        [(path, ms, "kept" if ms < GOAL else "MISSED") for path, ms in found],
    )


if __name__ == "__main__":
    main()
