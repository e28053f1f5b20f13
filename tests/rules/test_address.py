"""Which number an address dials, and how one is refused that dials none."""

import re
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail2fax.rules.address import AddressError, GstnAddress, parse, pretty

NUMBER = "6474959659"
PLAIN = GstnAddress(NUMBER)
COVER = GstnAddress(NUMBER, cover=True)


@pytest.mark.parametrize(
    "local_part",
    [
        "6474959659",
        "16474959659",
        "+16474959659",
        "+1-647-495-9659",
        "647-495-9659",
        "647.495.9659",
        "647_495_9659",
        "(647)495-9659",
        '"(647) 495-9659"',
        '"+1 (647) 495-9659"',
        '"1 647 495 9659"',
        '"\\(647\\) 495-9659"',
        "(647) 495-9659",
        "FAX=6474959659",
        "FAX=+16474959659",
        "fax=+1-647-495.9659",
        "Fax=1.647.495.9659",
        '"FAX=+1 (647) 495-9659"',
        "IMCEAFAX-6474959659",
        "IMCEAFAX-+16474959659",  # written by hand: the plus is no escape
        "imceafax-+2B16474959659",
        "IMCEAFAX-+2b1+20+28647+29+20495-9659",
        "IMCEAFAX-+28647+29+20495-9659",
        "IMCEAFAX-647_495_9659",
        "IMCEAFAX-FAX=+2B16474959659",
        "IMCEAFAX-Anna+20Roy+40+2B1+20+28647+29+20495-9659",
        "IMCEAFAX-Anna+40+20647+20495-9659",
        '"IMCEAFAX-+2B16474959659"',
    ],
)
def test_forms(local_part):
    """Every form of RFC 3192, of Outlook and of people is dialled as the same ten digits; +cover asks for a cover."""
    assert parse(local_part) == PLAIN
    assert parse(local_part, "US") == PLAIN
    cover = f'{local_part[:-1]}+cover"' if local_part.endswith('"') else f"{local_part}+Cover"
    assert parse(cover) == COVER


@pytest.mark.parametrize(
    ("local_part", "status", "words"),
    [
        ("", "550 5.1.1", '"" is not a fax number: write its ten digits before the @'),
        ("bob", "550 5.1.1", '"bob" is not a fax number'),
        ("fax", "550 5.1.1", '"fax" is not a fax number'),
        (
            "001-647-495-9659",
            "550 5.7.1",
            "begins with 001, which is dialled abroad: leave it out and write 6474959659",
        ),
        ("011 1 647 495 9659", "550 5.7.1", "begins with 0111, which is dialled abroad: leave it out and write"),
        ("9-1-647-495-9659", "550 5.7.1", "begins with 91, which is dialled for an outside line: leave it out and"),
        ("96474959659", "550 5.7.1", "begins with 9, which is dialled for an outside line: leave it out and write"),
        ("01141647495965", "550 5.7.1", "dials abroad; +1 is served"),
        ("647-495-9659 ext 5", "550 5.1.3", '"ext 5" is an extension, which a fax cannot dial: leave it out'),
        ("6474959659x22", "550 5.1.3", '"x22" is an extension'),
        ("647-495-9659, poste 7", "550 5.1.3", '", poste 7" is an extension'),
        (
            "647\u2011495\u20119659",
            "553 5.1.3",
            "is not plain ASCII text, it has the character U+2011: type the number by hand",
        ),
        ("\u202a6474959659\u202c", "553 5.1.3", "U+202A"),
        ("4959", "550 5.1.1", '"4959" has 4 digits, need 10: area code and number'),
        ("7", "550 5.1.1", '"7" has 1 digit, need 10'),
        ("495-9659", "550 5.1.1", '"495-9659" has 7 digits, need 10'),
        ("26474959659", "550 5.1.1", "has 11 digits, need 10"),
        ("116474959659", "550 5.1.1", "has 12 digits, need 10"),
        ("+1495-9659", "550 5.1.1", "has 7 digits after +1, need 10"),
        ("+1 1 647 495 9659", "550 5.1.1", "has 11 digits after +1, need 10"),
        ("6474959659x12", "550 5.1.3", "is an extension, which a fax cannot dial"),
        ("+", "550 5.1.1", "is not a fax number"),
        ("FAX=", "550 5.1.1", "is not a fax number"),
        ("1-800-GO-FAXES", "550 5.1.1", "is not a fax number"),
        ("0474959659", "550 5.1.1", "(047) 495-9659 cannot exist"),
        ("1474959659", "550 5.1.1", "(147) 495-9659 cannot exist"),
        ("6970959659", "550 5.1.1", "cannot exist"),
        ("6474959659+color", "550 5.1.3", '"+color" is not known after a number, only +cover is'),
        ("FAX=+16474959659/T33S=123", "550 5.1.3", '"/T33S=" cannot be passed on to the fax network: leave it out'),
        ("6474959659/t33s=1", "550 5.1.3", "cannot be passed on"),
        ("FAX=+16474959659/ATTN=Bob", "550 5.1.3", '"/ATTN=" cannot be passed on'),
        ("VOICE=+16474959659", "550 5.1.3", '"VOICE=" is another service'),
        ("SMS=6474959659", "550 5.1.3", '"SMS=" is another service'),
        ("+442079460000", "550 5.7.1", 'destination not permitted: "+442079460000" is outside +1'),
        ("FAX=+44-20-7946-0000", "550 5.7.1", "destination not permitted"),
        ("+6474959659", "550 5.7.1", "is outside +1; for Canada and the US write +16474959659"),
        ("011442079460000", "550 5.7.1", "dials abroad; +1 is served"),
        ("00442079460000", "550 5.7.1", "dials abroad"),
        ("0116474959659", "550 5.7.1", "dials abroad"),
        ("6474959659%evil.example", "550 5.7.1", "holds %: mail is not relayed to other addresses"),
        ("evil.example!6474959659", "550 5.7.1", "holds !"),
        ('"6474959659@evil.example"', "550 5.7.1", "holds @"),
        ("٦٤٧٤٩٥٩٦٥٩", "553 5.1.3", "is not plain ASCII text"),
        ("６４７４９５９６５９", "553 5.1.3", "is not plain ASCII text"),
        ("647495965\u2460", "553 5.1.3", "is not plain ASCII text"),
        ("6474959659\r\nDATA", "553 5.1.3", '"6474959659??DATA" is not plain ASCII text'),
        ("6474959659\x00", "553 5.1.3", "is not plain ASCII text"),
        ("6" * 257, "553 5.1.3", "of 256 characters at most"),
        ("IMCEAFAX-", "550 5.1.1", "holds no fax number"),
        ("IMCEAFAX-Anna+40evil.example", "550 5.1.1", "holds no fax number"),
        ("IMCEAFAX-6474959659+40evil.example", "550 5.1.1", "holds no fax number"),
        ("IMCEAFAX-+25+21", "550 5.1.1", "holds no fax number"),
        # typed by hand with a foreign code that also reads as an escape: never dialled as what is left of it
        ("IMCEAFAX-+33145678901", "550 5.7.1", "is outside +1"),
        ("IMCEAFAX-+336145678901", "550 5.7.1", "is outside +1"),
        ("IMCEAFAX-+202164749596", "550 5.1.1", "Outlook writes +2B for +"),
        ("IMCEAFAX-+206474959659", "550 5.1.1", "Outlook writes +2B for +"),
        ("IMCEAFAX-+296474959659", "550 5.1.1", "Outlook writes +2B for +"),
        ("IMCEAFAX-+406474959659", "550 5.1.1", "Outlook writes +2B for +"),
        ("IMCEAFAX-+2B442079460000", "550 5.7.1", "is outside +1"),
        ("IMCEAEX-_O=ORG", "550 5.1.1", "is not a fax number"),
    ],
)
def test_refusals(local_part, status, words):
    """A refusal carries the status of its cause, repeats what was read and says the rule."""
    with pytest.raises(AddressError, match=re.escape(words)) as caught:
        parse(local_part)
    assert caught.value.status == status
    assert str(caught.value) == f"{status} {caught.value.text}"


@st.composite
def nanp(draw):
    return draw(st.from_regex(r"[2-9][0-8][0-9][2-9][0-9]{6}", fullmatch=True))


@given(nanp(), st.data())
def test_separators_change_nothing(number, data):
    """Wherever people put blanks, dots, dashes and brackets, the same digits are dialled."""
    separator = st.text(alphabet=" .-()", max_size=2)
    local_part = "".join(data.draw(separator) + digit for digit in number)
    for front in ("", "1", "+1", "FAX=", "fax=+1 "):
        assert parse(f'"{front}{local_part}"').number == number
    assert parse(pretty(number)).number == number


@given(nanp(), st.booleans(), st.text(alphabet=string.ascii_letters + " .", min_size=1))
def test_encapsulation_is_undone(number, plus, name):
    """What Exchange makes of any contact's fax number is dialled as that number."""

    def encapsulated(text):
        return "".join(c if c.isalnum() or c in "-=" else "_" if c == "/" else f"+{ord(c):02X}" for c in text)

    written = f"+1 {pretty(number)}" if plus else pretty(number)
    for address in (written, f"{name}@{written}", written.replace(" ", "/")):
        assert parse("IMCEAFAX-" + encapsulated(address)).number == number


ALPHABET = st.text(alphabet="0123456789+-.()/=%!@_ \\\"'FAXfaxIMCEAcover٤４\r\n\x00", max_size=40)
FORM = st.builds("{}{}{}".format, st.sampled_from(["", "+", "FAX=", "IMCEAFAX-", "IMCEAFAX-+", '"']), ALPHABET, nanp())


@settings(max_examples=600, deadline=None)
@given(st.one_of(ALPHABET, FORM, st.text(max_size=300)))
def test_anything_else(local_part):
    """Whatever stands before the @: ten digits that stood there in this order, or one safe line of refusal."""
    number, refusal = outcome(local_part)
    if refusal:
        assert re.fullmatch(r"[ -~]{1,250}", refusal)
        assert re.match(r"55[03] 5\.(1\.1|1\.3|7\.1) ", refusal)
    else:
        assert re.fullmatch(r"[2-9][0-8][0-9][2-9][0-9]{6}", number)
        assert re.search("[^0-9]*".join(number), local_part) or "IMCEA" in local_part.upper()


def outcome(local_part):
    try:
        return parse(local_part).number, ""
    except AddressError as error:
        return "", str(error)


def test_hostile_length_costs_nothing():
    """No address makes the patterns slow."""
    for local_part in ("(" * 256, "+" * 256, "1-" * 128, "FAX=" * 64, '"' + "\\" * 254 + '"', "IMCEAFAX-" + "+2B" * 82):
        started = time.perf_counter()
        with pytest.raises(AddressError):
            parse(local_part)
        assert time.perf_counter() - started < 0.01


def test_pretty():
    """A number as people read it."""
    assert pretty(NUMBER) == "(647) 495-9659"
