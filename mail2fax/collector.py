"""Python's garbage collector, set up for a server: what was loaded at the start never becomes garbage."""

import gc


def spare_the_collector() -> None:
    """Let the garbage collector pass over what was loaded until now: looking at all of it took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
