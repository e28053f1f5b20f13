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
        grown = min(self.first * 2.0 ** min(attempt - 1, 60), self.longest)
        return grown * (1 - 0.2 * chance)


_PAGE = 45.0  # seconds that a page takes: 30 to 60, and the call before it
_SHARE = 30  # of the age is how late the news may be once it may come at any moment


def poll_pause(age: float, first: float, longest: float, chance: float, pages: int = 0) -> float:
    """Seconds until the next look at a fax of so many pages (0: unknown), submitted `age` seconds ago.

    Before its pages can have gone over the line there is little to see, so the next look is when they can; from then
    on a thirtieth of the age. benchmarks/polling.py shows what that costs and gains.
    """
    soonest = _PAGE * pages - age
    pause = soonest if soonest > first else max(first, age / (_SHARE if pages else 4))
    return min(pause, longest) * (1 - 0.2 * chance)
