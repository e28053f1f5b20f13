"""Sending again by answering: addresses that only we can make."""

import pytest
from hypothesis import given, settings, strategies

from mail2fax.config import Reply
from mail2fax.rules import signed_address
from mail2fax.rules.signed_address import Action, Wish

KEY = signed_address.key(Reply(), b"shared by all nodes")
ID = "7DQ2M4X9KT1B8-1"


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("fold", [str, str.upper, str.title])
def test_an_address_is_read_as_it_was_written(action, fold):
    """The action and the fax come back, whatever a mail server does to upper and lower case."""
    local_part, _, domain = signed_address.write(action, ID, KEY, "fax.local").partition("@")
    assert domain == "fax.local" and len(local_part) <= 64 and local_part == local_part.lower()
    assert signed_address.claimed(fold(local_part))
    assert signed_address.read(fold(local_part), KEY) == Wish(action, ID)


def test_addresses_do_not_stand_for_each_other():
    """Another fax, another action or another key: another signature."""
    known = signed_address.write(Action.RESEND, ID, KEY, "d").partition("@")[0]
    signature = known.partition(".")[2]
    for forged in (f"cancel+{ID}.{signature}", f"resend+{ID[:-1]}2.{signature}", f"resend+X{ID}.{signature}"):
        assert signed_address.claimed(forged) and signed_address.read(forged, KEY) is None
    assert signed_address.read(known, signed_address.key(Reply(secret="mine"), b"shared by all nodes")) is None
    assert signed_address.read(known, b"") is None


def test_the_key_is_the_configured_one_or_the_shared_one():
    """[reply] secret goes before the spool's key, and neither is used as it is."""
    assert signed_address.key(Reply(secret="mine"), b"a") == signed_address.key(Reply(secret="mine"), b"b") != b"mine"
    assert signed_address.key(Reply(), b"a") != signed_address.key(Reply(), b"b")


@settings(max_examples=150, deadline=None)
@given(
    strategies.text(max_size=70)
    | strategies.from_regex(r"(resend|cancel)\+[A-Za-z0-9-]{1,20}\.[a-z2-7]{15,17}", fullmatch=True)
)
def test_nobody_guesses_an_address(local_part):
    """What we did not write is none of ours, whatever it looks like, and is never an error."""
    assert signed_address.read(local_part, KEY) is None


@pytest.mark.parametrize("number", ["6474959659", "resendit", "re+send", "xresend+1.2", ""])
def test_numbers_are_no_such_addresses(number):
    """An ordinary recipient is not mistaken for an answer."""
    assert not signed_address.claimed(number)


def test_an_id_that_leaves_no_room_is_an_error_here():
    """A local part has 64 characters (RFC 5321): an id that is too long is our own fault."""
    with pytest.raises(ValueError, match="too long"):
        signed_address.write(Action.RESEND, "X" * 41, KEY, "fax.local")
