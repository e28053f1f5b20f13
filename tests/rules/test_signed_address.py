"""Sending again by answering: addresses that only we can make, and the number on an answer's first line."""

import pytest
from hypothesis import given, settings, strategies

from mail2fax.config import Reply
from mail2fax.rules import signed_address
from mail2fax.rules.address import AddressError
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


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n \n", "Please try again, thanks", "OK", "2nd try, room 12"),
        "> Your fax to (647) 495-9659 was not sent.",
        "\n\nOn Mon, Nov 23, 2026 at 2:05 PM Fax <fax@fax.local> wrote:\n> (647) 495-9659",
        "Le lun. 23 nov. 2026 à 14:05, Fax <fax@fax.local> a écrit :\n> (647) 495-9659",
        "On 2026-11-23 14:05, Fax wrote:\n",
        "From: Fax <fax@fax.local> 6474959659",
        "-- \nAnna Muster\n+1 416 967 1111",
        "________________________________\nDe : Fax 416 967 1111",
        "Sent from my 416 967 1111 phone",
    ],
)
def test_an_answer_without_a_number_means_the_same_number(text):
    """Words, quotes and signatures change nothing."""
    assert signed_address.new_number(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        *(
            "4169671111",
            "416-967-1111",
            "(416) 967-1111",
            "+1 416.967.1111",
            "1 416 967 1111\n\nThanks!",
            "\n  4169671111  \n> quoted",
        ),
        *("Fax: 416-967-1111", "to 416 967 1111", "au 416 967 1111", "Numéro : 416 967 1111", "FAX NUMBER: 4169671111"),
    ],
)
def test_a_number_alone_on_the_first_line_is_the_new_one(text):
    """Written as people write numbers, with a word such as "fax" before it at most."""
    assert signed_address.new_number(text) == "4169671111"


@pytest.mark.parametrize(
    "text",
    [
        *("call me at 416 967 1111", "416 967 1111 or 416 967 1112", "416-967-1111 thanks", "4169671111 ext 5"),
        *("Le 416 967 1111", "555 1234 5", "+44 20 7946 0958", "123456789012345", "٤١٦٩٦٧١١١١"),
    ],
)
def test_what_may_be_another_number_is_not_guessed(text):
    """A line with a number among words, or with one that cannot be faxed, is refused: a wrong digit faxes a stranger."""
    with pytest.raises(AddressError):
        signed_address.new_number(text)


@settings(max_examples=150, deadline=None)
@given(strategies.text(strategies.sampled_from("0123456789 ()+-./faxto:>\nOn<@"), max_size=60))
def test_a_number_or_none_or_a_refusal(text):
    """Whatever an answer begins with, ten digits come out, or nothing, or a refusal."""
    try:
        number = signed_address.new_number(text)
    except AddressError:
        return
    assert number == "" or (len(number) == 10 and number.isdigit())
