"""Sinch and Telnyx: what is sent, every code in our words, and a line that breaks at any byte."""

import base64
import io
import re
from datetime import UTC, datetime

import pytest

from mail2fax import log
from mail2fax.config import Provider
from mail2fax.model import Cause, Line, LineHeld, Permanent, Progress, State, Temporary, Trace, Unclear, Verdict
from mail2fax.providers import sinch, telnyx
from mail2fax.providers.sinch import Sinch
from mail2fax.providers.telnyx import Telnyx
from mail2fax.sandbox import server
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.faxapi import FaxApi, Reply
from tests.support.submitting import Commit, pdf

TOKEN = "canary-of-the-account"
NUMBER = "4165550100"
TAG = "6FWDXM0V3AKKS-1"
ADAPTERS = {
    "sinch": (Sinch, "", Line("", TOKEN, "project-1", "4165550000", {"key": "key-id"})),
    "telnyx": (Telnyx, "/v2", Line("", TOKEN, "connection-1", "4165550000")),
}


@pytest.fixture(params=ADAPTERS)
def which(request):
    return request.param


def opened(which, address, **settings):
    kind, path, line = ADAPTERS[which]
    return kind(Provider(name=which, url=f"http://{address}{path}", **({"timeout": 3.0} | settings))), line


@pytest.fixture
async def box():
    async with server.serve("127.0.0.1:0") as running:
        yield running


def address(box):
    return re.search(r"//([^/]+)/", box.url)[1]


SENT = {
    "sinch": (
        ["labels[mail2fax]", "maxRetries", "retryDelaySeconds", "from", "file", "to"],
        {"labels[mail2fax]": TAG, "maxRetries": "3", "retryDelaySeconds": "60", "from": "+14165550000", "to": f"+1{NUMBER}"},
        "Basic " + base64.b64encode(f"key-id:{TOKEN}".encode()).decode(),
        {"id": "01HD"},
    ),
    "telnyx": (
        ["connection_id", "from", "quality", "t38_enabled", "store_media", "client_state", "contents", "to"],
        {
            "connection_id": "connection-1", "from": "+14165550000", "quality": "high", "t38_enabled": "true",
            "store_media": "false", "client_state": base64.b64encode(TAG.encode()).decode(), "to": f"+1{NUMBER}",
        },
        f"Bearer {TOKEN}",
        {"data": {"id": "01HD", "status": "queued"}},
    ),
}  # fmt: skip


async def test_the_form_is_the_vendors(which, tmp_path):
    """Names, values, and the field without which nothing can be dialled last of all; the key in the header only."""
    names, values, authorization, answer = SENT[which]
    async with FaxApi() as api:
        api.before_post = lambda _: Reply(body=answer)
        provider, line = opened(which, f"127.0.0.1:{api.port}")
        assert await provider.submit(line, NUMBER, pdf(tmp_path, 5000), "x.pdf", Commit(), TAG) == "01HD"
        (post,) = api.posts
        assert [name for name, _ in post.fields] == names
        assert {name: post[name] for name in values} == values
        assert post.headers["authorization"] == authorization
        assert TOKEN.encode() not in post.data
        await provider.close()


@pytest.mark.parametrize(("state", "told"), [(base64.b64encode(TAG.encode()).decode(), 0), (None, 1), ("b3RoZXI=", 1)])
async def test_a_reference_that_telnyx_drops_is_told_once(tmp_path, state, told):
    """Telnyx declares client_state for JSON only: where it does not come back, a lost answer cannot be settled."""
    seen = []
    log.configure("console", "error", io.StringIO())
    async with FaxApi() as api:
        api.before_post = lambda _: Reply(202, {"data": {"id": "01HD", "client_state": state}})
        provider, line = opened("telnyx", f"127.0.0.1:{api.port}")
        with log.observed(lambda event, _: seen.append(event)):
            for _ in range(2):
                assert await provider.submit(line, NUMBER, pdf(tmp_path, 50), "x.pdf", Commit(), TAG) == "01HD"
        assert sum("drops our reference" in event for event in seen) == told
        await provider.close()


async def test_a_list_of_one_is_understood_as_sinchs_sdks_say(tmp_path):
    """Its description says an object."""
    async with FaxApi() as api:
        api.before_post = lambda _: Reply(body=b'[{"id": "01HD"}]')
        provider, line = opened("sinch", f"127.0.0.1:{api.port}")
        assert await provider.submit(line, NUMBER, pdf(tmp_path, 50), "x.pdf", Commit(), TAG) == "01HD"
        await provider.close()


ROWS = [
    (400, Permanent), (401, LineHeld), (402, LineHeld), (403, LineHeld), (404, LineHeld), (408, Temporary),
    (409, Unclear), (413, Permanent), (422, Permanent), (429, Temporary), (500, Unclear), (502, Unclear),
    (503, Unclear), (504, Unclear), (301, Unclear), (308, Temporary), (200, Unclear), (202, Unclear),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), ROWS)
async def test_every_answer_has_its_verdict_and_shows_no_key(which, tmp_path, status, kind):
    """The outcome table, with a vendor that echoes the key."""
    async with FaxApi() as api:
        api.before_post = lambda _: Reply(status, {"message": f"key {TOKEN}", "errors": [{"detail": f"key {TOKEN}"}]})
        provider, line = opened(which, f"127.0.0.1:{api.port}")
        with pytest.raises(Verdict) as raised:
            await provider.submit(line, NUMBER, pdf(tmp_path, 50), "x.pdf", Commit(), TAG)
        assert type(raised.value) is kind
        assert TOKEN not in f"{raised.value} {raised.value.note} {raised.value.detail}"
        await provider.close()


@pytest.mark.parametrize(("way", "how"), [("up", "close"), ("up", "reset"), ("down", "close"), ("down", "reset")])
async def test_a_line_that_breaks_anywhere_doubles_nothing_and_what_was_taken_is_found(box, tmp_path, which, way, how):
    """At each byte of the end and of the answer, and every so many before."""
    document = pdf(tmp_path, 1500)
    sure, line = opened(which, address(box))
    after, seen = 0, set()
    while "taken" not in seen:
        tag = f"SWEEP{way}{how}{after}-1"
        async with FaultProxy(int(address(box).rpartition(":")[2])) as proxy:
            setattr(proxy, way, Fault(after=after, how=how))
            provider, _ = opened(which, f"127.0.0.1:{proxy.port}", timeout=1.0)
            told = await _outcome(provider, line, document, tag)
            await provider.close()
        taken = [fax for fax in box.faxes if _reference(fax) == tag]
        assert len(taken) <= 1
        seen.add(told)
        if told == "not taken":
            assert not taken, after
        elif told == "taken":
            assert taken, after
        else:
            trace = await sure.find(line, tag, NUMBER, datetime.now(UTC), "")
            assert trace == (Trace(taken[0].uuid) if taken else Trace()), after
        after += 1 if way == "up" and after > 2300 else 53 if way == "up" else 3
    assert "doubt" in seen or way == "up"
    await sure.close()


def _reference(fax):
    if fax.reference.endswith("=") or not fax.reference.startswith("SWEEP"):
        return base64.b64decode(fax.reference + "==").decode()
    return fax.reference


async def _outcome(provider, line, document, tag):
    try:
        await provider.submit(line, NUMBER, document, "x.pdf", Commit(), tag)
    except Unclear:
        return "doubt"
    except Temporary:
        return "not taken"
    return "taken"


async def test_oauth2_is_asked_for_once(box, tmp_path):
    """The key goes to the token's address only, and the token is kept until it ends."""
    provider, line = opened("sinch", address(box))
    options = {"key": "key-id", "auth": "oauth2", "oauth_url": f"http://{address(box)}/oauth2/token"}
    line = Line("", TOKEN, "project-1", "", options)
    refs = [await provider.submit(line, NUMBER, pdf(tmp_path, 50), "x.pdf", Commit(), f"T{n}-1") for n in range(2)]
    assert len(set(refs)) == 2
    assert len(provider._tokens) == 1
    await provider.close()


@pytest.mark.parametrize(
    ("which", "line", "words"),
    [
        ("sinch", Line("", TOKEN), "account"),
        ("sinch", Line("", TOKEN, "p"), "access key"),
        ("sinch", Line("", TOKEN, "p", "", {"key": "k", "auth": "digest"}), "oauth2"),
        ("sinch", Line("", TOKEN, "p", "", {"kye": "k"}), "knows no kye"),
        ("telnyx", Line("", TOKEN), "connection id"),
        ("telnyx", Line("", TOKEN, "c", "4165550000", {"qualty": "high"}), "knows no qualty"),
    ],
)
async def test_settings_that_cannot_work_hold_the_line_and_say_which(box, tmp_path, which, line, words):
    """Nothing is sent, and `check` says so, too."""
    provider, _ = opened(which, address(box))
    commit = Commit()
    for attempt in (provider.submit(line, NUMBER, pdf(tmp_path, 50), "x.pdf", commit, TAG), provider.check(line)):
        with pytest.raises(LineHeld) as raised:
            await attempt
        assert words in raised.value.note
    assert (commit.calls, box.faxes) == (0, [])
    await provider.close()


def fax(status, **more):
    return sinch.progress({"status": status, **more})


def failed(kind, code, **more):
    return fax("FAILURE", errorType=kind, errorCode=code, errorMessage="words", retryCount=2, **more)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (fax("QUEUED"), Progress("Queued")),
        (fax("IN_PROGRESS", retryCount=1), Progress("Sending")),
        (fax("DREAMING"), Progress("DREAMING", known=False)),
        (
            fax("COMPLETED", numberOfPages=3, pagesSentSuccessfully=3, retryCount=0, price={"amount": "0.0700", "currencyCode": "USD"}),
            Progress("Completed", State.DELIVERED, pages_sent=3, pages=3, calls=1, cost="0.0700", currency="USD"),
        ),
        (failed("CALL_ERROR", 17), Progress("Failed", State.FAILED, cause=Cause.BUSY, code="17: words", calls=3)),
        (failed("FAX_ERROR", 133), Progress("Failed", State.FAILED, cause=Cause.NOT_PERMITTED, code="133: words", calls=3)),
        (
            failed("DOCUMENT_CONVERSION_ERROR", 133),
            Progress("Failed", State.FAILED, cause=Cause.DOCUMENT, code="133: words", calls=3),
        ),
        (
            failed("FAX_ERROR", 131, pagesSentSuccessfully=2, numberOfPages=5),
            Progress("Failed", State.FAILED, pages_sent=2, pages=5, cause=Cause.HUNG_UP, code="131: words", calls=3),
        ),
        (failed("FAX_ERROR", 46), Progress("Failed", State.FAILED, cause=Cause.ACCOUNT, code="46: words", calls=3)),
        (failed("FAX_ERROR", 28), Progress("Failed", State.FAILED, cause=Cause.LINE_TROUBLE, code="28: words", calls=3)),
        (failed("FATAL_ERROR", 1), Progress("Failed", State.FAILED, cause=Cause.PROVIDER, code="1: words", calls=3)),
        (fax("FAILURE"), Progress("Failed", State.FAILED, cause=Cause.UNSPOKEN)),
        (fax("FAILURE", errorCode=True, price=7, errorType=3), Progress("Failed", State.FAILED, cause=Cause.UNSPOKEN)),
    ],
)  # fmt: skip
def test_sinchs_words_in_ours(progress, expected):
    """133 means two things: it is read with its type."""
    assert progress == expected


# The values that Telnyx's own client lists for failure_reason.
REASONS = [
    "receiver_call_dropped",
    "sender_call_dropped",
    "sender_canceled",
    "carrier_lost",
    "service_unavailable",
    "fax_signaling_error",
    "receiver_communication_error",
    "sender_communication_error",
    "receiver_decline",
    "receiver_recovery_on_timer_expire",
    "receiver_no_response",
    "receiver_invalid_number_format",
    "receiver_no_answer",
    "receiver_incompatible_destination",
    "receiver_unallocated_number",
    "destination_unreachable",
    "user_busy",
    "invalid_ecm_response_from_receiver",
    "fax_initial_communication_timeout",
    "destination_not_in_service_plan",
    "account_disabled",
    "destination_invalid",
    "no_outbound_profile",
    "destination_not_in_countries_whitelist",
    "user_channel_limit_exceeded",
    "outbound_profile_channel_limit_exceeded",
    "connection_channel_limit_exceeded",
    "outbound_profile_daily_spend_limit_exceeded",
    "unverified_origination_number",
    "unverified_destination_not_allowed",
    "file_format_invalid",
    "file_download_failed",
    "file_size_limit_exceeded",
    "page_count_limit_exceeded",
    "media_processing_exception",
]


def test_each_of_telnyxs_reasons_is_one_of_our_causes():
    """None is left unspoken, and none is made up."""
    assert set(telnyx._BY_REASON) == set(REASONS)
    for reason in REASONS:
        progress = telnyx.progress({"status": "failed", "failure_reason": reason})
        assert (progress.final, progress.code) == (State.FAILED, reason)
        assert progress.cause is not Cause.UNSPOKEN
    assert telnyx.progress({"status": "failed"}).cause is Cause.UNSPOKEN
    assert telnyx.progress({"status": "sending", "failure_reason": None}) == Progress("Sending")


@pytest.mark.parametrize("data", [{}, {"status": None}, {"status": ""}, {"status": 7}, {"status": ["x"]}])
def test_a_fax_without_a_status_is_asked_for_again(data):
    """Never a last word."""
    for read in (sinch.progress, telnyx.progress):
        with pytest.raises(Temporary):
            read(data)
