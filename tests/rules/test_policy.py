"""Who may send, which numbers may be faxed, and how much: each refusal by its code and its words."""

import dataclasses
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mail2fax.config import Cover, FaxLine, Limits, Numbers, Provider, Reply, Settings, Smtp
from mail2fax.model import Recipient, Usage
from mail2fax.rules import area_codes, numbers
from mail2fax.rules.patterns import Patterns
from mail2fax.rules.policy import Policy
from mail2fax.smtp.users import User


def policy(**sections):
    return Policy(Settings(**sections))


DEFAULT = policy()


# -- clients


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_a_trusted_client(peer):
    """A client in a trusted network sends without a login, also when it is shown as an IPv6 address."""
    assert DEFAULT.client(peer, "", tls=False).refusal is None
    assert DEFAULT.client(peer, "", tls=False).rule.startswith('[smtp] trusted_networks "')


@pytest.mark.parametrize(
    "peer",
    ["192.0.2.1", "126.255.255.255", "::2", "::ffff:192.0.2.1", "fe80::1%eth0", "", "localhost", "127.0.0.1\r\n250 x"],
)
def test_an_untrusted_client(peer):
    """Everybody else must log in."""
    refusal = DEFAULT.client(peer, "", tls=True).refusal
    assert refusal.startswith("530 5.7.0 Authentication required: ")
    assert refusal.isprintable()
    assert DEFAULT.client(peer, "bob", tls=True).refusal is None
    assert "log in, or" in policy(smtp=Smtp(users_file="users")).client(peer, "", tls=True).refusal


def test_tls_required():
    """With require_tls nobody sends in plain, trusted or logged in."""
    strict = policy(smtp=Smtp(require_tls=True, tls_certificate="c.pem"))
    assert strict.client("127.0.0.1", "bob", tls=False).refusal == "530 5.7.0 Must issue a STARTTLS command first"
    assert strict.client("127.0.0.1", "", tls=True).refusal is None


# -- senders


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("*", ["a@b.example", "A@B"], []),
        (
            "*@office.example",
            ["bob@office.example", "BOB@Office.EXAMPLE"],
            ["bob@office.example.evil.example", "bob@notoffice.example", "bob@sub.office.example", "x"],
        ),
        (
            "bob@office.example",
            ["Bob@office.example"],
            ["abob@office.example", "bob@office.example2", "bob@office-example"],
        ),
        ("fax-?@x.example", ["fax-1@x.example"], ["fax-@x.example", "fax-12@x.example"]),
        ("bob@[192.0.2.1]", ["bob@[192.0.2.1]"], ["bob@1"]),
        ("b.b@*", ["b.b@x"], ["bxb@x"]),
    ],
)
def test_patterns(pattern, fits, not_):
    """A pattern fits the whole address or nothing, whatever the case; only * and ? are wild."""
    patterns = Patterns([pattern])
    assert [patterns.fitting(address) for address in fits] == [pattern] * len(fits)
    assert [patterns.fitting(address) for address in not_] == [None] * len(not_)


def test_allowed_senders():
    """An address that fits no pattern is refused, and told which one was seen."""
    office = policy(smtp=Smtp(allowed_senders=["*@office.example", "fax@law.example"], postmaster="it@office.example"))
    assert office.sender("Bob@Office.example", None).refusal is None
    assert office.sender("fax@law.example", None).rule == '[smtp] allowed_senders "fax@law.example"'
    assert office.sender("bob@evil.example", None).refusal == (
        '550 5.7.1 "bob@evil.example" may not send faxes here: it fits none of [smtp] allowed_senders; ask it@office.example'
    )


def test_senders_behind_tags():
    """BATV and VERP are the person that they tag; whom an office only forwards for is a stranger, and so is a forgery."""
    office = policy(smtp=Smtp(allowed_senders=["ann@office.example", "*@friends.example"]))
    good = ("prvs=1234a1b2c3=ann@office.example", "ann+4162200001=fax.local@office.example")
    bad = (
        "SRS0=abcd=T4=evil.example=ann@office.example",
        "SRS0=abcd=T4=office.example=ann@evil.example",
        "prvs=1234a1b2c3=eve@office.example",
    )
    assert [office.sender(path, None).refusal for path in good] == [None, None]
    assert all(office.sender(path, None).refusal.startswith("550 5.7.1") for path in bad)
    assert office.sender("prvs=1234a1b2c3=fax@fax.local", None).refusal.startswith("554 5.4.6")


def test_a_login_is_bound_to_its_senders():
    """Whoever logs in uses the reverse-paths of that login only, and those the settings allow."""
    office = policy(smtp=Smtp(allowed_senders=["*@office.example"]))
    bob = User("bob", "", patterns=("bob@*", "sales@office.example"))
    assert office.sender("bob@office.example", bob).refusal is None
    assert office.sender("eve@office.example", User("eve", "")).refusal is None
    assert office.sender("eve@office.example", bob).refusal.startswith(
        '550 5.7.1 "eve@office.example" is not a sender that login "bob" may use'
    )
    assert office.sender("bob@evil.example", bob).refusal.startswith(
        '550 5.7.1 "bob@evil.example" may not send faxes here'
    )


@pytest.mark.parametrize(
    ("reverse_path", "reply"),
    [
        ("", "550 5.7.1 Mail from <> is not faxed"),
        ("bob", '553 5.1.7 "bob" is no address'),
        ("@office.example", "553 5.1.7"),
        ("bob@", "553 5.1.7"),
        ("a@b@office.example", "553 5.1.7"),
        ("a\r\nRCPT TO:<x>@office.example", '553 5.1.7 "a??RCPT TO:<x>@office.example"'),
        ("bob@invalid", "553 5.1.7"),
        ("FAX@fax.local", '554 5.4.6 "FAX@fax.local" is an address of this fax service: a loop'),
        ("6474959659@fax.local", "554 5.4.6"),
        ("6474959659@COVER.fax.local", "554 5.4.6"),
        ("desk@office.example", "554 5.4.6"),
        ("bounce@office.example", "554 5.4.6"),
    ],
)
def test_senders_that_cannot_be_answered(reverse_path, reply):
    """No reply could be sent there, or it would come back: refused before there is a fax."""
    refusal = (
        policy(reply=Reply(sender="Fax Desk <Desk@office.example>", envelope_sender="bounce@office.example"))
        .sender(reverse_path, None)
        .refusal
    )
    assert refusal.startswith(reply)
    assert re.fullmatch(r"[ -~]{1,300}", refusal)


@pytest.mark.parametrize(
    "reverse_path",
    [
        "bob@office.local",
        "root@localhost",
        '"bob smith"@office.example',
        "bob@[192.0.2.1]",
        "prvs=12=bob@x.example",
        "a" * 64 + "@x.example",
    ],
)
def test_senders_of_offices(reverse_path):
    """Addresses that only mean something inside an office are good reverse-paths."""
    assert DEFAULT.sender(reverse_path, None).refusal is None


def test_lines():
    """The first line whose pattern fits pays; without one it is [provider].token."""
    lines = policy(
        line=[
            FaxLine(name="accounting", senders=["*@accounting.office.example", "boss@office.example"]),
            FaxLine(name="office", senders=["*@office.example"]),
        ]
    )
    found = [
        lines.line(sender, "6475550100")
        for sender in ("A@Accounting.office.example", "boss@office.example", "bob@office.example", "x@y.example")
    ]
    assert found == ["accounting", "accounting", "office", ""]


def test_a_line_for_some_numbers_only():
    """Both its patterns must fit; one that is only a fallback is nobody's choice."""
    lines = policy(
        provider=Provider(fallback="spare"),
        line=[
            FaxLine(name="toronto", senders=["*"], numbers=["+1 416*", "+1 (647) 555-0100"]),
            FaxLine(name="spare", senders=[]),
        ],
    )
    assert [lines.line("a@b.example", number) for number in ("4165550100", "6475550100", "6475550101")] == [
        "toronto", "toronto", "",
    ]  # fmt: skip


# -- recipients


def test_a_recipient():
    """An accepted path is one fax: the address as it was given, and the ten digits."""
    assert DEFAULT.recipient("FAX=+1-647-495-9659@Fax.Local").recipient == Recipient(
        "FAX=+1-647-495-9659@Fax.Local", "6474959659"
    )
    assert DEFAULT.recipient('"(647) 495-9659"@fax.local').recipient.number == "6474959659"


def test_cover_pages():
    """`+cover`, and the domain cover.<domain>, ask for a cover page where the settings let them."""
    asking = ("6474959659+cover@fax.local", "6474959659@cover.fax.local", "6474959659+cover@cover.fax.local")
    for path in asking:
        assert DEFAULT.recipient(path).recipient.cover
        assert policy(cover=Cover(enabled="never")).recipient(path).refusal == (
            "550 5.1.3 No cover pages are made here: write to 6474959659@fax.local"
        )
    assert not DEFAULT.recipient("6474959659@fax.local").recipient.cover
    assert policy(cover=Cover(enabled="always")).recipient("6474959659@fax.local").recipient.cover
    assert not policy(smtp=Smtp(domains=["cover.example"])).recipient("6474959659@cover.example").recipient.cover


RELAY_TRICKS = [
    "relaytest@evil.example",
    "6474959659@evil.example",
    "6474959659",
    "relaytest",
    '"relaytest"',
    '"relaytest@evil.example"',
    '"6474959659@evil.example"@fax.local',
    "relaytest%evil.example@fax.local",
    "6474959659%evil.example@fax.local",
    "evil.example!relaytest@fax.local",
    "evil.example!6474959659@fax.local",
    "evil.example!6474959659",
    "@fax.local:6474959659@evil.example",
    "@evil.example:6474959659@fax.local",
    "@fax.local,@evil.example:6474959659@fax.local",
    "6474959659@evil.example@fax.local",
    "6474959659@fax.local@evil.example",
    "6474959659@fax.local.",
    "6474959659@fax.local.evil.example",
    "6474959659@evil-fax.local",
    "6474959659@.fax.local",
    "6474959659@sub.fax.local",
    "6474959659@cover.cover.fax.local",
    "6474959659@cover.evil.example",
    "6474959659@[127.0.0.1]",
    "6474959659@[IPv6:::1]",
    "6474959659@127.0.0.1",
    "6474959659@localhost",
    "6474959659@",
    "@fax.local",
    "6474959659@fax.local\r\nRCPT TO:<x@evil.example>",
    "6474959659 @fax.local%evil.example",
    "6474959659@fax.l\u03bfcal",  # a Greek omicron
    "6474959659@fax\u3002local",
    "IMCEAFAX-relaytest+40evil.example@fax.local",
    "IMCEASMTP-relaytest+40evil.example@fax.local",
    "FAX=+16474959659/RELAY=evil.example@fax.local",
    '"6474959659\\@evil.example"@fax.local',
    "6474959659@fax.local, relaytest@evil.example",
    "<6474959659@evil.example>@fax.local",
]


@pytest.mark.parametrize("path", RELAY_TRICKS)
def test_relay_tricks(path):
    """No way of writing an address gets mail to anybody else: the domain is exactly ours, and the rest a number."""
    refusal = DEFAULT.recipient(path).refusal
    assert isinstance(refusal, str)
    assert re.fullmatch(r"55[03] 5\.(1\.1|1\.3|7\.1) [ -~]{1,250}", refusal)


@given(
    st.text(max_size=30), st.sampled_from(["evil.example", "fax.local.evil.example", "xfax.local", "fax.locals", ""])
)
def test_no_other_domain(local_part, domain):
    """Whatever stands before it, another domain is relaying."""
    assert DEFAULT.recipient(f"{local_part}@{domain}").refusal.startswith("550 5.7.1 Relaying denied: ")


# -- numbers


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("9004951234", "is a premium-rate number"),
        ("4169761234", "is in a premium-rate exchange"),
        ("4165551212", "is directory assistance"),
        ("8009111234", "is a service code, not an exchange"),
        ("4164111234", "is a service code, not an exchange"),
        ("4114951234", "is a service code"),
        ("9114951234", "is a service code"),
        ("5004951234", "is a personal number"),
        ("5224951234", "is a personal number"),
        ("5334951234", "is a personal number"),
        ("7004951234", "is a carrier's own service"),
        ("7104951234", "is the US government's emergency service"),
        ("4564951234", "is an inbound international service"),
        ("6004951234", "is a Canadian non-geographic service"),
        ("6224951234", "is a Canadian non-geographic service"),
        ("8764951234", "is in Jamaica, charged as a call abroad"),
        ("8094951234", "is in the Dominican Republic"),
        ("4414951234", "is in Bermuda"),
        ("7874951234", "is in Puerto Rico, a US territory"),
        ("2224951234", "is in an area code that is not assigned"),
        ("8224951234", "is in an area code that is not assigned"),
        ("3704951234", "is in an area code that is not assigned"),
        ("2784951234", "is in an area code that this version, of November 2026, does not know: "),
    ],
)
def test_barred_numbers(number, words):
    """What costs more or reaches nobody is refused by default, each kind in its own words."""
    refusal = DEFAULT.recipient(f"{number}@fax.local").refusal
    assert refusal.startswith("550 5.7.1 Destination not permitted: (")
    assert words in refusal


@pytest.mark.parametrize("number", ["4164111234", "3114951234", "8009111234"])
def test_nobody_is_asked_to_open_a_service_code(number):
    """A slip of the fingers is corrected by whoever made it; a premium rate may be meant."""
    assert DEFAULT.recipient(f"{number}@fax.local").refusal.endswith("; correct the number")
    assert DEFAULT.recipient("9004951234@fax.local").refusal.endswith(" to open it")


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("6474959659", 'allow "CA": in Canada'),
        ("8674951234", 'allow "CA": in Canada'),
        ("2124951234", 'allow "US": in the United States'),
        ("9074951234", 'allow "US": in the United States'),
        ("8004951234", 'allow "tollfree": a toll-free number'),
        ("8334951234", 'allow "tollfree": a toll-free number'),
        ("4165550123", 'allow "CA": in Canada'),
        ("2125550199", 'allow "US": in the United States'),
        ("8005550100", 'allow "tollfree": a toll-free number'),
        # The exchanges of test lines and the like are ordinary ones in toll-free codes, and in many towns.
        ("8009598281", 'allow "tollfree": a toll-free number'),
        ("8669761234", 'allow "tollfree": a toll-free number'),
        ("8005558355", 'allow "tollfree": a toll-free number'),
        ("2049581234", 'allow "CA": in Canada'),
        ("8089591234", 'allow "US": in the United States'),
        ("4165550200", 'allow "CA": in Canada'),
        ("4369509999", 'allow "US": in the United States'),
        ("9836001234", 'allow "US": in the United States'),
    ],
)
def test_open_numbers(number, rule):
    """Canada, the US states and toll-free are open by default; so are 555-0100 to 555-0199, for tests."""
    assert DEFAULT.number(number).rule == f"[numbers] {rule}"
    assert DEFAULT.recipient(f"{number}@fax.local").recipient.number == number


@pytest.mark.parametrize(
    ("allow", "deny", "open_", "shut"),
    [
        ([], [], [], ["6474959659", "2124951234", "8004951234"]),
        (["CA"], [], ["6474959659"], ["2124951234", "8004951234", "7874951234"]),
        (["US"], [], ["2124951234"], ["6474959659", "7874951234"]),
        (["territories"], [], ["7874951234", "6714951234"], ["2124951234"]),
        (["CA", "+1876"], [], ["8764951234", "6474959659"], ["6584951234", "8769761234", "8765551212"]),
        (["+1900"], [], ["9004951234"], ["9009761234", "6474959659"]),
        (["+1416976"], [], ["4169761234"], ["4164951234"]),
        (["+1416"], [], ["4164951234"], ["6474959659", "4169761234"]),
        (["+14164951234"], [], ["4164951234"], ["4164951235"]),
        (["+1222"], [], ["2224951234"], ["2234951234"]),
        (["CA"], ["416"], ["6474959659"], ["4164951234"]),
        (["CA"], ["+1416495"], ["4164961234"], ["4164951234"]),
        (["CA"], ["1 (416) 495-1234"], ["4164951235"], ["4164951234"]),
        (["+1416"], ["+14164951234"], ["4164951235"], ["4164951234"]),
    ],
)
def test_allow_and_deny(allow, deny, open_, shut):
    """Nothing is open but by `allow`; a prefix opens what it names in full; `deny` goes before all."""
    rules = policy(numbers=Numbers(allow=allow, deny=deny))
    assert [number for number in [*open_, *shut] if rules.number(number).refusal is None] == open_


DENIED_AREA = re.compile(
    r"(900|700|710|456|5(00|2[1-9]|3[23]|44|66|77|88)|6(00|22|33|44|55|77|88)|[2-9]11|"
    r"242|246|264|268|284|345|441|473|649|658|664|721|758|767|784|809|829|849|868|869|876|"
    r"340|670|671|684|787|939)"
)
DENIED_EXCHANGE = re.compile(r"[2-9]11|976|5551212")


def denied(number):
    tollfree = number[:3] in numbers.TOLLFREE
    closed = DENIED_EXCHANGE.match(number, 3) if not tollfree else re.match(r"...[2-9]11", number)
    return bool(DENIED_AREA.match(number) or closed)


@st.composite
def local_parts(draw):
    """A number in one of the accepted forms, often a denied one, often spoiled."""
    areas = st.sampled_from(
        ["900", "700", "456", "500", "522", "600", "411", "911", "876", "809", "242", "787", "416", "647", "212", "800"]
    )
    exchanges = st.sampled_from(["976", "555", "411", "911", "950", "958", "495", "234"])
    digits = draw(areas | st.from_regex(r"[0-9]{3}", fullmatch=True)) + draw(
        exchanges | st.from_regex(r"[0-9]{3}", fullmatch=True)
    )
    digits += draw(st.from_regex(r"[0-9]{4}", fullmatch=True))
    front = draw(
        st.sampled_from(
            ["", "1", "+1", "FAX=", "fax=+1", "IMCEAFAX-", "IMCEAFAX-+2B1", "IMCEAFAX-x+40+2B1+20", "011", "+", "9,"]
        )
    )
    spoil = draw(st.sampled_from(["", "+cover", "/T33S=1", "x", " ", "%evil", "+40", "0"]))
    text = "".join(draw(st.sampled_from(["", "", "", "-", ".", " ", "(", ")", "٠"])) + digit for digit in digits)
    return draw(st.sampled_from([f"{front}{text}{spoil}", f'"{front}{text}{spoil}"']))


@settings(max_examples=1500, deadline=None)
@given(st.one_of(local_parts(), st.text(alphabet="0123456789+-. ()FAX=/_", max_size=24), st.text(max_size=40)))
@example("IMCEAFAX-+2B1+20+28876+29+20495-1234")
def test_no_string_maps_to_a_denied_number(local_part):
    """Whatever is written before the @, no number that is denied by default is dialled."""
    for domain in ("fax.local", "cover.fax.local"):
        ruling = DEFAULT.recipient(f"{local_part}@{domain}")
        if answer := ruling.recipient:
            assert re.fullmatch(r"[2-9][0-8][0-9][2-9][0-9]{6}", answer.number)
            assert not denied(answer.number)
        else:
            assert re.fullmatch(r"55[03] 5\.(1\.1|1\.3|7\.1) [ -~]{1,300}", ruling.refusal)


def test_the_whole_plan():
    """Every area code there could be has one kind, and only the ordinary ones are open."""
    counted = {"CA": 0, "US": 0, "tollfree": 0, "territories": 0, "unassigned": 0, "service": 0, "": 0}
    for area in (str(area) for area in range(200, 1000) if str(area)[1] != "9"):
        place = numbers.destination(f"{area}4951234")
        counted[place.kind] += 1
        assert bool(DEFAULT.number(f"{area}4951234").refusal) == (place.kind not in {"CA", "US", "tollfree"})
    assert counted["tollfree"] == 7
    assert counted["CA"] == len(area_codes.CANADA)
    assert counted["US"] == len(area_codes.UNITED_STATES)
    assert counted["territories"] == len(numbers.TERRITORIES)
    assert counted["service"] == 8


def test_codes_that_are_too_new():
    """They wait for an update, or for a setting that the refusal names; what is set aside is not opened by that."""
    refusal = DEFAULT.recipient("2784951234@fax.local").refusal
    assert '[numbers] allow "+1278" opens it, unassigned "allow" every new one' in refusal
    assert len(refusal) < 300
    trusting = policy(numbers=Numbers(unassigned="allow"))
    assert trusting.number("2784951234").refusal is None
    assert policy(numbers=Numbers(allow=["+1278"])).number("2784951234").refusal is None
    for number in ("2224951234", "8834951234", "3704951234", "9644951234", "8764951234", "9004951234", "2789761234"):
        assert trusting.number(number).refusal


# -- budgets

NONE = Usage()


@pytest.mark.parametrize("whose", ["sender", "total"])
@pytest.mark.parametrize("what", ["faxes", "pages"])
@pytest.mark.parametrize(
    ("span", "status"), [("hour", "452 4.7.1 Budget of an hour"), ("day", "452 4.7.1 Budget of 24 hours")]
)
def test_budgets(whose, what, span, status):
    """Each limit holds for what it names and nothing else, and is named when it is reached."""
    key = f"{whose}_{what}_per_{span}"
    rules = policy(limits=Limits(**{key: 3}))

    def spent(count):
        return dataclasses.replace(NONE, **{f"{what}_{span}": count})

    other = Usage(9, 9, 9, 9)
    assert rules.budget(*((spent(2), other) if whose == "sender" else (other, spent(2))), 9).refusal is None
    refusal = rules.budget(*((spent(3), NONE) if whose == "sender" else (NONE, spent(3))), 0).refusal
    where = "from this sender" if whose == "sender" else "in all"
    assert refusal.startswith(f"{status} used up: 3 {what} {where}, the limit is 3 ([limits] {key}); ")


def test_the_budget_of_a_number():
    """No number is faxed more often in a day than the settings say."""
    rules = policy(limits=Limits(number_faxes_per_day=2, total_faxes_per_hour=1))
    assert rules.budget(NONE, NONE, 1).refusal is None
    assert rules.budget(NONE, NONE, 2).refusal.startswith(
        "452 4.7.1 Budget of 24 hours used up: 2 faxes to this number, "
    )
    # What stays refused for today goes before what may be tried again in an hour.
    assert rules.budget(NONE, Usage(faxes_hour=1), 2).refusal.startswith("452 4.7.1 Budget of 24 hours")


def test_no_budget():
    """0 sets no limit."""
    assert DEFAULT.budget(Usage(10**6, 10**6, 10**6, 10**6), Usage(10**6, 10**6, 10**6, 10**6), 10**6).refusal is None
