"""What we send, and what the sandbox answers, held against what the vendors themselves declare: vendor_schemas/*.json.

Those are extracts of their OpenAPI with the few operations that mail2fax uses, written down with their source.
"""

from datetime import UTC, datetime

import pytest

from mail2fax import httpd
from mail2fax.config import Provider
from mail2fax.model import Cause, Line, State, Stopped, Verdict
from mail2fax.providers import sinch, telnyx
from mail2fax.sandbox import server
from tests.support.submitting import Commit, pdf
from tests.support.vendors import Declared, Recorder

TAG = "6FWDXM0V3AKKS-1"
VENDORS = {
    "sinch": (sinch.Sinch, "", Line("", "canary", "project-1", "4165550000", {"key": "key-id", "service": "s1"})),
    "telnyx": (telnyx.Telnyx, "/v2", Line("", "canary", "connection-1", "4165550000")),
}


@pytest.fixture(params=VENDORS)
async def vendor(request, monkeypatch):
    """An adapter, its line, what the vendor declares, and what passes between them."""
    kept = []

    def recorded(application, *more, _serving=httpd.serving):
        kept.append(Recorder(application))
        return _serving(kept[0], *more)

    monkeypatch.setattr(server.httpd, "serving", recorded)
    async with server.serve("127.0.0.1:0") as box:
        kind, path, line = VENDORS[request.param]
        url = box.url.removesuffix("/api/fax") + path
        provider = kind(Provider(name=request.param, url=url, timeout=3.0))
        yield provider, line, Declared(request.param), kept[0].exchanges
        await provider.close()


async def test_every_request_and_answer_is_as_declared(vendor, tmp_path):
    """Sending, asking, searching, cancelling, deleting, and errors; each kind of end."""
    provider, line, declared, exchanges = vendor
    numbers = ["4165550100", "4165550103", "4165550112", "4165550115", "4165550140", "4165550150"]
    for n, number in enumerate(numbers):
        try:
            ref = await provider.submit(line, number, pdf(tmp_path, 5000), "x.pdf", Commit(), f"{TAG}{n}")
        except Verdict:
            continue
        await provider.status(line, ref)
        assert (await provider.find(line, f"{TAG}{n}", number, datetime.now(UTC), "")).ref == ref
        if provider.capabilities.cancels:
            assert await provider.cancel(line, ref) in set(Stopped)
        await provider.forget(line, ref)
    with pytest.raises(Verdict):
        await provider.status(line, "nobodys")
    for one in exchanges:
        declared.exchange(one)
    assert {one.method for one in exchanges} >= {"GET", "POST"}
    assert {one.status // 100 for one in exchanges} == {2, 4}
    assert len(exchanges) > 12


def test_the_declarations_can_find_a_mistake():
    """A wrong type, an unknown name and a missing one are told: else the test above would prove nothing."""
    declared = Declared("sinch")
    form = declared.facts["operations"]["POST /v3/projects/{projectId}/faxes"]["form"]
    good = {"to": "+14165550100", "maxRetries": 3}
    declared.check(good, form, "")
    for bad in ({"maxRetries": 3}, {**good, "to": "4165550100"}, {**good, "maxRetries": 6}, {**good, "retries": 1}):
        with pytest.raises(AssertionError):
            declared.check(bad, form, "")


def test_every_code_that_sinch_lists_has_a_cause():
    """And none that it does not list is named by us."""
    codes = Declared("sinch").facts["codes"]
    assert set(sinch._CALL) <= set(codes["CALL_ERROR"])
    assert set(sinch._FAX) <= set(codes["FAX_ERROR"])
    for kind, listed in codes.items():
        for code in listed:
            said = sinch.progress({"status": "FAILURE", "errorType": kind, "errorCode": code})
            assert said.final is State.FAILED
            assert said.cause not in {None, Cause.UNSPOKEN}
