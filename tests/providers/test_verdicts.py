"""The outcome table: every HTTP status, every odd answer, before and after the commit."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail2fax.model import LineHeld, Permanent, Progress, Reason, State, Temporary, Unclear, Verdict
from mail2fax.providers import verdicts
from mail2fax.providers.verdicts import Answer

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

UNCLEAR_AFTER = [
    *range(300, 307),
    309,
    399,
    409,
    500,
    501,
    502,
    503,
    504,
    505,
    507,
    511,
    520,
    599,
    100,
    101,
    199,
    600,
    999,
]
NOT_PROCESSED = [307, 308, 408, 421, 425, 429]
HELD = [401, 402, 403, 407]
NOWHERE = [404, 405, 410, 411]
REFUSED = sorted(set(range(400, 500)) - {409, *NOT_PROCESSED, *HELD, *NOWHERE})


def verdict(answer, *, committed):
    """The verdict that the answer brings, or the ref."""
    try:
        return verdicts.submission(answer, committed=committed)
    except Verdict as raised:
        return raised


def sure(raised, kind):
    assert type(raised) is kind, f"{raised!r} is not {kind.__name__}"


@pytest.mark.parametrize("status", UNCLEAR_AFTER)
def test_a_status_that_does_not_say_is_in_doubt_only_after_the_commit(status):
    """Unclear once the end may have left, safe to try again before."""
    sure(verdict(Answer(status), committed=True), Unclear)
    sure(verdict(Answer(status), committed=False), Temporary)


@pytest.mark.parametrize("status", NOT_PROCESSED)
@pytest.mark.parametrize("committed", [False, True])
def test_a_status_that_says_not_processed_is_tried_again(status, committed):
    """Temporary, and Retry-After comes along."""
    raised = verdict(Answer(status, retry_after=7.0), committed=committed)
    sure(raised, Temporary)
    assert raised.retry_after == 7.0
    assert raised.reason is Reason.PROVIDER_BUSY


@pytest.mark.parametrize(("pause", "kind"), [(None, Unclear), (0.0, Temporary), (30.0, Temporary)])
def test_503_was_not_processed_only_if_it_carries_retry_after(pause, kind):
    """Even Retry-After: 0 is a word; no Retry-After is none."""
    sure(verdict(Answer(503, retry_after=pause), committed=True), kind)


@pytest.mark.parametrize("status", HELD)
@pytest.mark.parametrize("committed", [False, True])
def test_a_refused_token_holds_the_line(status, committed):
    """The fax is not failed: every fax of the line waits."""
    sure(verdict(Answer(status), committed=committed), LineHeld)
    sure(verdict(Answer(200, json.dumps({"error_code": status}).encode()), committed=committed), LineHeld)


@pytest.mark.parametrize("status", NOWHERE)
@pytest.mark.parametrize("committed", [False, True])
def test_an_address_where_nothing_takes_faxes_holds_the_line(status, committed):
    """No other fax would fare better there; but an error_code comes from the API, which is there: it is about the fax."""
    raised = verdict(Answer(status), committed=committed)
    sure(raised, LineHeld)
    assert "[provider] url" in raised.note
    sure(verdict(Answer(200, json.dumps({"error_code": status}).encode()), committed=committed), Permanent)


def test_no_credit_has_its_own_word():
    """The token is right, and an operator who reads of it would look in the wrong place."""
    assert verdict(Answer(402), committed=True).note == "HTTP 402: the line's account has no credit"


@pytest.mark.parametrize("status", REFUSED)
@pytest.mark.parametrize("committed", [False, True])
def test_other_4xx_refuse_this_fax_for_good(status, committed):
    """And the code is kept for the reply."""
    raised = verdict(Answer(status), committed=committed)
    sure(raised, Permanent)
    assert raised.detail == {"http": status}
    assert raised.reason is (Reason.TOO_LARGE if status == 413 else Reason.PROVIDER_REFUSED)


@pytest.mark.parametrize(("status", "code"), [(413, "5.3.4"), (415, "5.6.1"), (400, "5.0.0")])
def test_the_enhanced_status_code_says_no_more_than_is_known(status, code):
    """RFC 3461 section 6.3: 5.0.0 where no specific reason is known."""
    assert verdict(Answer(status), committed=True).status == code


@pytest.mark.parametrize("status", [*range(300, 307), *(set(range(400, 432)) - set(NOWHERE)), 451, 500, 503, 505])
@pytest.mark.parametrize("write", [int, str, lambda code: f" {code} ", lambda code: {"error_code": code}])
def test_error_code_in_a_200_counts_as_that_status(status, write):
    """Also as a text, and inside one more object."""
    code = write(status)
    data = {"status": 0, "message": "m"} | ({"error": code} if isinstance(code, dict) else {"error_code": code})
    for committed in (False, True):
        plain = verdict(Answer(status), committed=committed)
        inside = verdict(Answer(200, json.dumps(data).encode()), committed=committed)
        assert (type(inside), inside.status) == (type(plain), plain.status)


@pytest.mark.parametrize("uuid", ["4f11W59b-not-a-uuid", "7", "a b/c?d=é&f", "x" * verdicts.LONGEST_REF])
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_a_uuid_is_opaque(uuid, status):
    """Any text in any 2xx is a provider ref, with or without a status beside it."""
    assert verdict(Answer(status, json.dumps({"uuid": uuid}).encode()), committed=True) == uuid


@pytest.mark.parametrize("number", [0, 7, 17, 2**63, 10**30])
def test_a_whole_number_as_uuid_is_its_digits(number):
    """The fax was taken: an unknown one would be told to a person for nothing."""
    assert verdict(Answer(200, json.dumps({"uuid": number}).encode()), committed=True) == str(number)


@pytest.mark.parametrize(
    "beside", [{"error_code": 0}, {"error_code": None}, {"error_code": ""}, {"error_code": "200"}, {"status": 7}]
)
def test_a_uuid_proves_that_the_fax_was_taken_whatever_stands_beside_it(beside):
    """An API that always sends the field is understood, and a contradiction never sends a fax twice."""
    assert verdict(Answer(200, json.dumps({"uuid": "u"} | beside).encode()), committed=True) == "u"


ODD = [
    b"",
    b" ",
    b"<html><body>502 Bad Gateway</body></html>",
    b'{"uuid": "4f11W5',
    b"null",
    b"[]",
    b'["uuid"]',
    b'"uuid"',
    b"7",
    b"{}",
    b'{"status": "Loading"}',
    b'{"uuid": null}',
    b'{"uuid": ["4f"]}',
    b'{"uuid": {"a": 1}}',
    b'{"uuid": true}',
    b'{"uuid": 1.5}',
    b'{"uuid": ' + b"9" * 4_000 + b"}",
    b'{"uuid": ""}',
    b'{"uuid": "  "}',
    b'{"uuid": "a\\u0000b"}',
    b'{"uuid": "a\\nb"}',
    json.dumps({"uuid": "x" * (verdicts.LONGEST_REF + 1)}).encode(),
    b'{"UUID": "x"}',
    b'{"error_code": 1004}',
    b'{"error_code": true}',
    b'{"error_code": 401.0}',
    b'{"error_code": [401]}',
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b"\xff\xfe\xfa",
    b"\x00" * 500,
    b"9" * 60_000,
]


@pytest.mark.parametrize("body", ODD, ids=lambda body: repr(body[:30]))
def test_a_2xx_without_a_usable_uuid_is_in_doubt(body):
    """Whatever stands in its place, after the commit nobody can say whether the fax was taken."""
    sure(verdict(Answer(200, body), committed=True), Unclear)
    sure(verdict(Answer(200, body), committed=False), Temporary)


@pytest.mark.parametrize("body", ODD, ids=lambda body: repr(body[:30]))
def test_a_poll_survives_any_answer(body):
    """It is only asked again; one of these says a word."""
    if body == b'{"status": "Loading"}':
        assert verdicts.progress(Answer(200, body)) == Progress("Loading")
        return
    with pytest.raises(Temporary) as raised:
        verdicts.progress(Answer(200, body))
    sure(raised.value, Temporary)


@given(
    st.integers(100, 999),
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["uuid", "status", "error_code", "message", "x"]), inner, max_size=4)
            ),
        ).map(lambda data: json.dumps(data).encode()),
    ),
    st.none() | st.floats(0, 3600),
    st.booleans(),
)
def test_no_answer_at_all_leads_to_anything_but_a_ref_or_a_verdict(status, body, pause, committed):
    """And before the commit never to Unclear, from a poll only to Temporary or LineHeld."""
    answer = Answer(status, body, pause)
    outcome = verdict(answer, committed=committed)
    assert isinstance(outcome, str) or type(outcome) in {Temporary, LineHeld, Permanent, Unclear}
    assert committed or not isinstance(outcome, Unclear)
    try:
        outcome = verdicts.progress(answer)
    except Verdict as raised:
        outcome = raised
    assert type(outcome) in {Progress, Temporary, LineHeld}


@pytest.mark.parametrize("committed", [False, True])
def test_silence_is_in_doubt_only_after_the_commit(committed):
    """No answer before the commit: surely not taken."""
    raised = verdicts.no_answer("ReadTimeout", committed=committed)
    sure(raised, Unclear if committed else Temporary)
    assert raised.reason is (Reason.NO_ANSWER if committed else Reason.PROVIDER_UNREACHABLE)


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        ("Loading", Progress("Loading")),
        ("Converting", Progress("Converting")),
        ("Pending", Progress("Pending")),
        ("Sending", Progress("Sending")),
        ("Success", Progress("Success", State.DELIVERED)),
        ("Failed", Progress("Failed", State.FAILED)),
        (" success\r\n", Progress("Success", State.DELIVERED)),
        ("FAILED", Progress("Failed", State.FAILED)),
        ("Redialing", Progress("Redialing", known=False)),
        ("Successful", Progress("Successful", known=False)),
        ("Partly  sent", Progress("Partly sent", known=False)),
        ("Not Found", Progress("Not Found", known=False)),
        ("a\x00\u202eb", Progress("a??b", known=False)),
        ("é" * 90, Progress("é" * 40, known=False)),
    ],
)
def test_words_are_compared_without_case_and_unknown_ones_are_no_last_word(word, progress):
    """Only Success and Failed end a fax; anything else is shown, made printable and short."""
    assert verdicts.progress(Answer(200, json.dumps({"status": word}).encode())) == progress


@pytest.mark.parametrize("status", [*range(300, 600, 7), 404, 409, 429, 500, 503])
def test_a_poll_never_fails_a_fax(status):
    """A known uuid that is "not found" only delays the next poll, as every other error does."""
    for answer in (Answer(status, retry_after=3.0), Answer(200, json.dumps({"error_code": status}).encode(), 3.0)):
        with pytest.raises(Temporary) as raised:
            verdicts.progress(answer)
        assert type(raised.value) is (LineHeld if status in HELD else Temporary)
        assert isinstance(raised.value, LineHeld) or raised.value.retry_after == 3.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("3601", 3600.0),
        ("9" * 5000, 3600.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 3600.0),
        ("Sunday, 01-Mar-26 12:00:10 GMT", 10.0),
        ("Sun Mar  1 12:00:10 2026", 10.0),
        ("Sun, 99 Foo 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 99999999999 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value, seconds):
    """RFC 9110 section 10.2.3, in all three forms of a date; what is neither is as if absent."""
    assert verdicts.retry_after(value, NOW) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"\A[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,12} ([0-9]{2}:){2}[0-9]{2} (GMT|[+-][0-9]{4,9})\Z"
    )
)
def test_no_retry_after_breaks_the_reading(value):
    """Any text gives a number of seconds within bounds, or None."""
    seconds = verdicts.retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= verdicts.LONGEST_PAUSE


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ("Bad number", "HTTP 400: Bad number"),
        ("token s3cret was used", "HTTP 400: token *** was used"),
        (" two\r\nlines\x00 ", "HTTP 400: two lines?"),
        ("x" * 113 + " s3cret", f"HTTP 400: {'x' * 113} ***"),
        ("y" * 500, "HTTP 400: " + "y" * 120),
        ("", "HTTP 400"),
        (7, "HTTP 400"),
    ],
)
def test_the_note_repeats_what_the_provider_says_without_its_secrets(message, note):
    """One short printable line; the token is blanked before the line is cut."""
    body = json.dumps({"error_code": 400, "message": message}).encode()
    with pytest.raises(Permanent) as raised:
        verdicts.submission(Answer(200, body), committed=True, redact=lambda text: text.replace("s3cret", "***"))
    assert raised.value.note == note


def test_the_message_of_a_refused_token_is_not_repeated_at_all():
    """There it holds the token, or a part of it that no filter knows."""
    with pytest.raises(LineHeld) as raised:
        verdicts.submission(Answer(401, b'{"message": "Invalid Token s3c..."}'), committed=True)
    assert "s3c" not in raised.value.note


def test_an_unknown_word_is_redacted_before_it_is_cut():
    """A word goes into the spool and onto the status page."""
    body = json.dumps({"status": "x" * 37 + " s3cret"}).encode()
    assert verdicts.progress(Answer(200, body), redact=lambda text: text.replace("s3cret", "***")).word.endswith("x **")
