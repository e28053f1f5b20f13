"""Queue ids. They are written on paper and read out on the phone."""

import random
import secrets
import time

# Crockford's alphabet: no I, L, O or U, so that an id can be read out on the phone.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_EPOCH_2020 = 1_577_836_800
_chance = random.Random(secrets.randbits(256))  # noqa: S311 -- ids must differ, not be secret; asking the system costs ten times as much
_LENGTH = 13


def new_id() -> str:
    """A queue id of 13 characters: six of time, so that ids sort by age, and seven by chance."""
    number = int(time.time()) - _EPOCH_2020 << 35 | _chance.getrandbits(35)
    return "".join([_ALPHABET[number >> shift & 31] for shift in range(60, -1, -5)])


def is_id(name: str) -> bool:
    """Whether `new_id` may have made this."""
    return len(name) == _LENGTH and set(name) <= set(_ALPHABET)
