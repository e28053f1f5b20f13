"""How often the provider is asked for one fax, and how late the news is, on simulated faxes.

    python -m benchmarks.polling

A fax takes 5 to 40 seconds until it is being sent, then 30 to 60 seconds a page. The schedule is the shipped one,
`backoff.poll_pause` with the defaults of [poll]; beside it the two that were weighed against it.
"""

import argparse
import random
from collections.abc import Callable

from benchmarks.table import median, show
from mail2fax.config import Poll
from mail2fax.rules.backoff import poll_pause

FAXES = 2000  # of each kind
PAGES = (1, 2, 3, 4, 5, 10, 20, 50)
Pause = Callable[[float, int, float], float]  # of age, pages, chance


def shipped(age: float, pages: int, chance: float) -> float:
    """What `poll` does."""
    return poll_pause(age, Poll().first, Poll().longest, chance, pages)


def quarter(age: float, pages: int, chance: float) -> float:  # noqa: ARG001 -- what is compared is not to know it
    """A quarter of the age, whatever the pages."""
    return poll_pause(age, Poll().first, Poll().longest, chance)


def steady(age: float, pages: int, chance: float) -> float:  # noqa: ARG001 -- as above
    """Every five seconds."""
    return Poll().first * (1 - 0.2 * chance)


SCHEDULES: dict[str, Pause] = {"shipped": shipped, "a quarter of the age": quarter, "every 5 s": steady}


def watch(pause: Pause, pages: int, ends: float, chance: random.Random) -> tuple[int, float]:
    """Polls until a fax that ends then is known to have ended, and how late that is."""
    age, polls = Poll().first, 1
    while age < ends:
        age += pause(age, pages, chance.random())
        polls += 1
    return polls, age - ends


def duration(pages: int, chance: random.Random) -> float:
    """Seconds from the submission to the last word."""
    return chance.uniform(5, 40) + sum(chance.uniform(30, 60) for _ in range(pages))


def figures(pause: Pause, faxes: list[tuple[int, float]]) -> tuple[float, float, float]:
    """Polls a fax, and the delay of the news: median and 95th percentile."""
    chance = random.Random(2)
    found = [watch(pause, pages, ends, chance) for pages, ends in faxes]
    delays = sorted(delay for _, delay in found)
    return sum(polls for polls, _ in found) / len(found), median(delays), delays[int(len(delays) * 0.95)]


def faxes_of(pages: int, count: int = FAXES) -> list[tuple[int, float]]:
    """Faxes of so many pages, and when they end."""
    chance = random.Random(1)
    return [(pages, duration(pages, chance)) for _ in range(count)]


def three_minutes(count: int = FAXES) -> list[tuple[int, float]]:
    """Faxes that take three minutes, of as many pages as that can be."""
    chance = random.Random(1)
    wanted = ((pages, duration(pages, chance)) for pages in (3, 4) for _ in range(20 * count))
    return [(pages, ends) for pages, ends in wanted if 170 <= ends <= 190][:count]


def run(count: int = FAXES) -> list[tuple]:
    """The table."""
    groups = {f"{pages} pages": faxes_of(pages, count) for pages in PAGES} | {"three minutes": three_minutes(count)}
    rows = [(name, kind, *figures(pause, faxes)) for name, faxes in groups.items() for kind, pause in SCHEDULES.items()]
    show("Polls a fax, and how late the news is", ("fax", "schedule", "polls", "median s", "p95 s"), rows)
    return rows


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=FAXES, help="faxes of each kind")
    run(options.parse_args().count)
