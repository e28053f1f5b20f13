"""This build beside another one: the whole pipeline, and the start, in turns.

    python -m benchmarks.against FOLDER [--rounds 3] [--count 150]
    python -m benchmarks.against FOLDER --count 0               the start alone

FOLDER is a checkout with a `.venv` of its own. Each measures itself by its own `benchmarks`, so it must have
`pipeline` and `idle`. `python -m benchmarks.accept --against FOLDER` does the same for acceptance.
"""

import argparse
import json
import subprocess
from pathlib import Path

from benchmarks import processes
from benchmarks.table import machine, median, show

HERE = Path(__file__).parents[1]
_PIPELINE = """
import json
from benchmarks import pipeline
found = pipeline.run({count}, 100_000)
print(json.dumps({{"faxes a second": found["rate"], "processor ms a fax": sum(pipeline.split(found).values())}}))
"""
_START = """
import json
from benchmarks import idle
found = idle.run(1, 4)
print(json.dumps({"start to 220, s": found["start"], "processor time of a start, s": found["cpu"]}))
"""


def figures(folder: Path, count: int) -> dict[str, float]:
    """One round of one build."""
    found = {}
    for program in ([_PIPELINE.format(count=count)] if count else []) + [_START]:
        command = [folder / ".venv/bin/python", "-c", program]
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=600, env=processes.as_installed()
        )
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """As the command line says."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--count", type=int, default=150, help="mails in a round; 0: the start alone")
    wanted = options.parse_args()
    print(machine())
    pairs = []
    for _ in range(wanted.rounds):
        pairs.append((figures(HERE, wanted.count), figures(wanted.folder.resolve(), wanted.count)))
        print(
            "  "
            + "; ".join(f"{name} {one:.3g}, the other {pairs[-1][1][name]:.3g}" for name, one in pairs[-1][0].items())
        )
    rows = [
        (
            name,
            median(ours[name] for ours, _ in pairs),
            median(theirs[name] for _, theirs in pairs),
            median(ours[name] / theirs[name] for ours, theirs in pairs),
        )
        for name in pairs[0][0]
    ]
    show(
        f"This build beside {wanted.folder}, medians of {wanted.rounds} rounds",
        ("what", "this", "other", "ratio"),
        rows,
    )


if __name__ == "__main__":
    main()
