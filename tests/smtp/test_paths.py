"""Paths and parameters: the grammar of RFC 5321, 1870, 3461 and 4954, and nothing that is not in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail2fax.smtp import answers, parameters, paths
from mail2fax.smtp.parameters import OfMail, OfRcpt
from mail2fax.smtp.paths import Malformed


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("<a@b.example>", ("a@b.example", "")),
        ("<a@b.example> SIZE=5", ("a@b.example", " SIZE=5")),
        ("<A.b+c=d/e_%f@B-1.example>", ("A.b+c=d/e_%f@B-1.example", "")),
        ("<a@localhost>", ("a@localhost", "")),
        ("<@one.example,@two.example:a@b.example>", ("a@b.example", "")),
        ('<"a"@b.example>', ("a@b.example", "")),
        ('<"a\\.b"@b.example>', ("a.b@b.example", "")),
        ('<"a b"@b.example>', ('"a b"@b.example', "")),
        ('<"a\\"b"@b.example>', ('"a\\"b"@b.example', "")),
        ('<"a@x"@b.example>', ('"a@x"@b.example', "")),
        ("<a@[192.0.2.1]>", ("a@[192.0.2.1]", "")),
        ("<a@[IPv6:2001:db8::1]>", ("a@[IPv6:2001:db8::1]", "")),
        ("<a@[x-tag:anything]>", ("a@[x-tag:anything]", "")),
        (f"<{'a' * 64}@b.example>", (f"{'a' * 64}@b.example", "")),
    ],
)
def test_paths(argument, found):
    """Every form of the grammar, as reverse-path and as recipient; the route goes, needless quoting goes."""
    assert paths.reverse(argument) == found
    assert paths.forward(argument) == found


def test_the_null_reverse_path_is_empty_text():
    """T2: `<>` is "", never the text of two brackets; as a recipient it is nobody."""
    assert paths.reverse("<>") == ("", "")
    assert paths.reverse("<> RET=HDRS") == ("", " RET=HDRS")
    with pytest.raises(Malformed):
        paths.forward("<>")


def test_postmaster_needs_no_domain():
    """RFC 5321 section 4.5.1: in any case of letters, but only as a recipient."""
    assert paths.forward("<PostMaster>") == ("postmaster", "")
    assert paths.forward("<Postmaster@fax.local>") == ("Postmaster@fax.local", "")
    with pytest.raises(Malformed):
        paths.reverse("<postmaster>")


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("a@b.example", ("a@b.example", "")),
        ("a@b.example SIZE=5", ("a@b.example", " SIZE=5")),
        ("<a@b.example.>", ("a@b.example", "")),
        ("<a@b_c.example>", ("a@b_c.example", "")),
        ("<a@_b.example>", ("a@_b.example", "")),
        (f"<{'a' * 65}@b.example>", (f"{'a' * 65}@b.example", "")),
        (f"<prvs=12345678={'a' * 200}@b.example>", (f"prvs=12345678={'a' * 200}@b.example", "")),
    ],
)
def test_reverse_paths_that_other_servers_take_too(argument, found):
    """RFC 5321 section 4.5.3.1: be generous. A recipient is a number at a domain of ours: there nothing is loose."""
    assert paths.reverse(argument) == found
    with pytest.raises(Malformed):
        paths.forward(argument)


def test_an_encoded_name_is_no_mailbox():
    """Exim hands a sender in other letters on as xn--…: the reply would reach nobody, so nothing is faxed."""
    with pytest.raises(Malformed) as refused:
        paths.reverse("<xn--nn-wka@office.example>")
    assert refused.value.answer == answers.ENCODED_SENDER


@pytest.mark.parametrize(
    "argument",
    [
        "", "<", ">", "<a@b.example", "a@b.example>", "< a@b.example>", "<a@b.example >", "<a>", "<a@>",
        "<@b.example>", "<a@b@c.example>", "<a(comment)@b.example>", "<a@b..example>", "<.a@b.example>", "<a.@b.example>",
        "<a..b@b.example>", "<a@-b.example>", "<a@b-.example>", "<a@b.example..>", "<<a@b.example>>",
        "<a@[300.0.0.1]>", "<a@[1.2.3]>", "<a@[IPv6:xyz]>", "<a@[IPv6:fe80::1%eth0]>", "<a@[]>", "<a@[x]>",
        '<"a\rb"@b.example>', "<a\0@b.example>", '<"a@b.example>', '<"a"b@b.example>', "<a@b.example>SIZE=1",
        "<a@b.example>\r\nRCPT TO:<x>", "me <a@b.example>", "<@one.example:>", "<@one.example,a@b.example>",
        f"<{'a' * 257}@b.example>", f"<a@{'b' * 256}>", "postmaster", "a@b.example, c@d.example",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(argument):
    """T3: no brackets, comments, blanks, control characters, wrong domains: 553, never a guess."""
    with pytest.raises(Malformed) as refused:
        paths.reverse(argument)
    assert refused.value.answer == answers.BAD_SENDER
    with pytest.raises(Malformed) as refused:
        paths.forward(argument)
    assert refused.value.answer == answers.BAD_RECIPIENT


@pytest.mark.parametrize("argument", ["<ü@b.example>", "<a@bü.example>", "<٦٤٧@fax.local>", "<a\x80@b.example>"])
def test_internationalized_paths_are_told_so(argument):
    """5.6.7, not a riddle: SMTPUTF8 is not offered, and digits are ASCII digits."""
    with pytest.raises(Malformed) as refused:
        paths.forward(argument)
    assert refused.value.answer == answers.NOT_ASCII


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=60))
def test_nothing_dangerous_comes_out(text):
    """Whatever is sent: refused, or printable ASCII with one mailbox in it."""
    for argument in (text, f"<{text}>", f"<{text}@fax.local>", f'<"{text}"@fax.local>'):
        try:
            found, _ = paths.reverse(argument)
        except Malformed:
            continue
        assert found.isascii()
        assert found.isprintable()
        assert not found or found.count("@") == 1 or found.startswith('"')


@pytest.mark.parametrize(
    ("text", "given_"),
    [
        ("", OfMail()),
        (" SIZE=1000", OfMail(size=1000)),
        (" size=1000 body=8bitmime", OfMail(size=1000)),
        (" BODY=7BIT AUTH=<>", OfMail()),
        (" AUTH=me+40b.example", OfMail()),
        (" RET=hdrs ENVID=AbC+2B1", OfMail(ret="HDRS", envid="AbC+1")),
        (" RET=FULL", OfMail(ret="FULL")),
        (" ENVID=" + "x" * 100, OfMail(envid="x" * 100)),
    ],
)
def test_parameters_of_mail(text, given_):
    """Case of keywords does not matter, case of ENVID is kept (RFC 3461 section 5.2.1)."""
    assert parameters.of_mail(text) == given_


@pytest.mark.parametrize(
    ("text", "given_"),
    [
        ("", OfRcpt()),
        (" NOTIFY=never", OfRcpt(notify=frozenset({"NEVER"}))),
        (" NOTIFY=SUCCESS,FAILURE,DELAY", OfRcpt(notify=frozenset({"SUCCESS", "FAILURE", "DELAY"}))),
        (" ORCPT=rfc822;Bob+2Bx@B.example", OfRcpt(orcpt="rfc822;Bob+x@B.example")),
        (" ORCPT=rfc822;" + "a" * 493, OfRcpt(orcpt="rfc822;" + "a" * 493)),
    ],
)
def test_parameters_of_rcpt(text, given_):
    """RFC 3461 sections 4.1 and 4.2, with xtext undone."""
    assert parameters.of_rcpt(text) == given_


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" SIZE", answers.BAD_PARAMETER),
        (" SIZE=x", answers.BAD_PARAMETER),
        (" SIZE=-1", answers.BAD_PARAMETER),
        (" SIZE=" + "9" * 21, answers.BAD_PARAMETER),
        (" SIZE=1 SIZE=1", answers.BAD_PARAMETER),
        (" BODY=BINARYMIME", answers.BAD_PARAMETER),
        (" RET=SOME", answers.BAD_PARAMETER),
        (" ENVID=a+0Ab", answers.BAD_PARAMETER),
        (" ENVID=a+0ab", answers.BAD_PARAMETER),
        (" ENVID=a+", answers.BAD_PARAMETER),
        (" ENVID=" + "x" * 101, answers.BAD_PARAMETER),
        (" AUTH=a=b", answers.BAD_PARAMETER),
        (" =5", answers.BAD_PARAMETER),
        (" a_b=5", answers.BAD_PARAMETER),
        (" NOTIFY=NEVER", answers.UNKNOWN_PARAMETER),
        (" XFOO=1", answers.UNKNOWN_PARAMETER),
        (" SMTPUTF8", answers.NO_SMTPUTF8),
        (" SIZE=1 smtputf8", answers.NO_SMTPUTF8),
    ],
)
def test_bad_parameters_of_mail(text, answer):
    """501 for bad ones and for one given twice (RFC 3461 section 5.1), 555 for unknown ones."""
    with pytest.raises(Malformed) as refused:
        parameters.of_mail(text)
    assert refused.value.answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" NOTIFY", answers.BAD_PARAMETER),
        (" NOTIFY=", answers.BAD_PARAMETER),
        (" NOTIFY=NEVER,SUCCESS", answers.BAD_PARAMETER),
        (" NOTIFY=SUCCESS,SUCCESS", answers.BAD_PARAMETER),
        (" NOTIFY=SOMETIMES", answers.BAD_PARAMETER),
        (" NOTIFY=NEVER NOTIFY=NEVER", answers.BAD_PARAMETER),
        (" ORCPT=bob@b.example", answers.BAD_PARAMETER),
        (" ORCPT=rfc822;", answers.BAD_PARAMETER),
        (" ORCPT=;bob@b.example", answers.BAD_PARAMETER),
        (" ORCPT=rfc822;bob+0D+0Ax", answers.BAD_PARAMETER),
        (" ORCPT=rfc822;" + "a" * 494, answers.BAD_PARAMETER),
        (" SIZE=5", answers.UNKNOWN_PARAMETER),
    ],
)
def test_bad_parameters_of_rcpt(text, answer):
    """As with MAIL; no xtext smuggles a line end into a header."""
    with pytest.raises(Malformed) as refused:
        parameters.of_rcpt(text)
    assert refused.value.answer == answer


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
def test_parameters_never_break(text):
    """Whatever is sent: refused, or printable ASCII."""
    for read in (parameters.of_mail, parameters.of_rcpt):
        for argument in (f" {text}", f" ENVID={text}", f" ORCPT=rfc822;{text}"):
            try:
                found = read(argument)
            except Malformed:
                continue
            assert repr(found).isprintable()
            assert all(
                field.isprintable() and field.isascii()
                for field in (getattr(found, "envid", ""), getattr(found, "orcpt", ""))
            )
