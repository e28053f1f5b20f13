"""When to try again, and when to give up. Pure: randomness comes in as an argument."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses: `first` seconds, doubled each time up to `longest`."""

    first: float
    longest: float

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds to wait after the attempt of this number (from 1); `chance` in [0, 1) spreads them.

        The spread is a fifth downwards, so that a thousand faxes that failed together do not return together
        and no pause is longer than the settings say.
        """
        # 2**60 s is beyond any `longest`: the cap keeps a very old fax from overflowing a float.
        grown = min(self.first * 2 ** min(attempt - 1, 60), self.longest)
        return grown * (1 - 0.2 * chance)


def poll_pause(age: float, first: float, longest: float, chance: float) -> float:
    """Seconds until the next look at a fax submitted `age` seconds ago.

    A quarter of the age: news is then late by a quarter of the fax's own time at most, and the number of polls
    grows with the logarithm of that time. benchmarks/polling.py shows the figures.
    """
    return min(max(first, age / 4), longest) * (1 - 0.2 * chance)
