"""Provider `sinch`: Sinch's Fax API v3 (developers.sinch.com/docs/fax/api-reference/fax).

Our reference travels as a label, and a lost answer is looked for in the list of faxes to that number. What Sinch keeps
of a document is deleted once the outcome is written down.
"""

import base64
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mail2fax import log
from mail2fax.config import Provider
from mail2fax.model import Capabilities, Cause, Line, LineHeld, Progress, Reason, State, Stopped, Temporary, Trace
from mail2fax.providers import Commit, http, verdicts
from mail2fax.providers.held_body import HeldBody

LABEL = "mail2fax"
LONGEST_WORD = 60
_PAGE, _PAGES = 1000, 5  # faxes on a page of the list, and pages that are looked through

OPTIONS: Mapping[str, str | int | bool] = {
    "key": "",  # the id of the access key; its secret is the token
    "auth": "basic",  # or "oauth2"
    "oauth_url": "https://auth.sinch.com/oauth2/token",
    "service": "",  # a fax service of the project, else the default one
    "retries": 3,  # calls after the first, 0 to 5
    "retry_delay": 60,  # seconds between them, 30 to 300
}

# errorCode, read with its errorType where one number means two things (133).
_CALL = {
    17: Cause.BUSY,
    16: Cause.NO_ANSWER,
    30: Cause.NO_ANSWER,
    34: Cause.NUMBER_INVALID,
    49: Cause.NUMBER_INVALID,
    32: Cause.NOT_PERMITTED,
    19: Cause.HUNG_UP,
}
_FAX = {
    46: Cause.ACCOUNT,
    75: Cause.CANCELLED,
    76: Cause.CANCELLED,
    113: Cause.DOCUMENT,
    133: Cause.NOT_PERMITTED,
    132: Cause.NO_FAX,
    13: Cause.NO_FAX,
    14: Cause.NO_FAX,
    26: Cause.NO_FAX,
    48: Cause.NO_FAX,
    8: Cause.HUNG_UP,
    10: Cause.HUNG_UP,
    21: Cause.HUNG_UP,
    29: Cause.HUNG_UP,
    53: Cause.HUNG_UP,
    60: Cause.HUNG_UP,
    84: Cause.HUNG_UP,
    131: Cause.HUNG_UP,
}
_WORDS = {"QUEUED": "Queued", "IN_PROGRESS": "Sending", "COMPLETED": "Completed", "FAILURE": "Failed"}
# The SDKs say that the answer to a POST is a list, the description says an object.
_SINCH = verdicts.Dialect(lambda data: verdicts.ref_of(data.get("id")), lambda data: data.get("message"), listed=True)


class Sinch:
    """See `providers.Provider`. One for the whole node."""

    capabilities = Capabilities(
        finds=True, forgets=True, tells_pages=True, tells_cause=True, tells_cost=True, max_bytes=20_000_000
    )

    def __init__(self, settings: Provider) -> None:
        self.api = http.Api(settings)
        self._tokens: dict[str, tuple[str, float]] = {}  # OAuth2's, by line, and until when on the monotonic clock

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit, reference: str) -> str:
        """Hand over a PDF; see `Provider.submit`. `to`, without which no fax can be sent, comes last."""
        options, headers = _options(line), await self._headers(line)
        before = [(f"labels[{LABEL}]", reference)]
        before += [("maxRetries", str(options["retries"])), ("retryDelaySeconds", str(options["retry_delay"]))]
        before += [("from", f"+1{line.from_number}")] if line.from_number else []
        before += [("serviceId", str(options["service"]))] if options["service"] else []
        with http.opened(document) as file:
            body = HeldBody(file, name, field="file", before=before, after=[("to", f"+1{number}")])
            answer = await self.api.post(_faxes(line), body, commit, headers)
        ref = verdicts.submission(answer, committed=body.committed, redact=log.redact, api=_SINCH)
        if not body.committed:
            await commit()
        return ref

    async def status(self, line: Line, ref: str) -> Progress:
        """Ask for the fax; see `Provider.status`."""
        return progress(await self._asked(line, f"{_faxes(line)}/{quote(ref, safe='')}"))

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:  # noqa: ARG002
        """Look through the faxes to this number for our label. Not seen proves nothing."""
        for page in range(1, _PAGES + 1):
            wanted = {"to": f"+1{number}", "direction": "OUTBOUND", "pageSize": str(_PAGE), "page": str(page)}
            data = await self._asked(line, _faxes(line), params=wanted, longest=http.LONGEST_LIST)
            faxes = [fax for fax in data.get("faxes") or () if isinstance(fax, dict)]
            for fax in faxes:
                labels = fax.get("labels")
                if isinstance(labels, dict) and labels.get(LABEL) == reference and (found := _SINCH.ref(fax)):
                    return Trace(found)
            if len(faxes) < _PAGE:
                break
        return Trace()

    async def cancel(self, line: Line, ref: str) -> Stopped:  # noqa: ARG002
        """The API's description has no such thing."""
        return Stopped.CANNOT

    async def forget(self, line: Line, ref: str) -> None:
        """Delete the document that Sinch keeps for 13 months unless its service is told not to; the record stays."""
        answer = await self.api.ask(
            "DELETE", f"{_faxes(line)}/{quote(ref, safe='')}/file", headers=await self._headers(line)
        )
        if answer.status != 404:  # a service that keeps nothing has nothing to delete
            verdicts.told(answer, redact=log.redact, api=_SINCH)

    async def check(self, line: Line) -> None:
        """Reach the address, and see whether the settings can make a request."""
        _options(line)
        await self.api.reach()

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()

    async def _asked(self, line: Line, path: str, **how: Any) -> Mapping[str, Any]:
        answer = await self.api.ask("GET", path, headers=await self._headers(line), **how)
        return verdicts.told(answer, redact=log.redact, api=_SINCH)

    async def _headers(self, line: Line) -> dict[str, str]:
        http.hide(line)
        options = _options(line)
        basic = base64.b64encode(f"{options['key']}:{line.token}".encode()).decode()
        log.hide(basic)
        if options["auth"] == "basic":
            return {"Authorization": f"Basic {basic}"}
        return {"Authorization": f"Bearer {await self._bearer(line.name, str(options['oauth_url']), basic)}"}

    async def _bearer(self, line: str, url: str, basic: str) -> str:
        """An OAuth2 token by client credentials (RFC 6749 section 4.4), kept until shortly before its end."""
        token, until = self._tokens.get(line, ("", 0.0))
        if time.monotonic() < until:
            return token
        form = {"grant_type": "client_credentials"}
        answer = await self.api.ask("POST", url, data=form, headers={"Authorization": f"Basic {basic}"})
        data = verdicts.told(answer, redact=log.redact, api=_SINCH)
        fresh = data.get("access_token")
        if not isinstance(fresh, str) or not fresh:
            raise Temporary(Reason.PROVIDER_BUSY, note=f"HTTP {answer.status} without an access token")
        log.hide(fresh)
        seconds = data.get("expires_in")
        life = float(seconds) if isinstance(seconds, int | float) else 0.0
        self._tokens[line] = fresh, time.monotonic() + max(life - 60.0, 0.0)
        return fresh


def progress(data: Mapping[str, Any]) -> Progress:
    """A fax object, as we say it. Pure."""
    status = data.get("status")
    if not isinstance(status, str) or not status.strip():
        raise Temporary(Reason.PROVIDER_BUSY, note="a fax without a status")
    retries = _whole(data.get("retryCount"))
    price = data.get("price")
    price = price if isinstance(price, dict) else {}
    code = _whole(data.get("errorCode"))
    final = {"COMPLETED": State.DELIVERED, "FAILURE": State.FAILED}.get(status)
    return Progress(
        _WORDS.get(status, http.shown(status)[:LONGEST_WORD]),
        final,
        known=status in _WORDS,
        pages_sent=_whole(data.get("pagesSentSuccessfully")),
        pages=_whole(data.get("numberOfPages")),
        calls=retries + 1 if retries is not None and final else None,
        cause=_cause(str(data.get("errorType") or ""), code) if final is State.FAILED else None,
        code=f"{code}: {http.shown(str(data.get('errorMessage') or ''))}"[:LONGEST_WORD] if code is not None else "",
        cost=http.shown(str(price.get("amount") or ""))[:16],
        currency=http.shown(str(price.get("currencyCode") or ""))[:3],
    )


def _cause(kind: str, code: int | None) -> Cause:
    match kind:
        case "DOCUMENT_CONVERSION_ERROR":
            return Cause.DOCUMENT
        case "CALL_ERROR":
            return _CALL.get(code or 0, Cause.LINE_TROUBLE)
        case "FAX_ERROR":
            return _FAX.get(code or 0, Cause.LINE_TROUBLE)
        case "FATAL_ERROR" | "GENERAL_ERROR":
            return Cause.PROVIDER
    return Cause.UNSPOKEN


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _faxes(line: Line) -> str:
    return f"/v3/projects/{quote(line.account, safe='')}/faxes"


def _options(line: Line) -> Mapping[str, str | int | bool]:
    """What was said of the line's options, over the defaults. Raises LineHeld for what makes no sense."""
    if unknown := set(line.options) - set(OPTIONS):
        raise _useless(f"options: sinch knows no {min(unknown)}, but {', '.join(OPTIONS)}")
    options = {**OPTIONS, **line.options}
    if not line.account or not options["key"]:
        raise _useless('sinch needs account, its project id, and options = { key = "…" }, the id of its access key')
    if options["auth"] not in {"basic", "oauth2"}:
        raise _useless('options: auth is "basic" or "oauth2"')
    return options


def _useless(note: str) -> LineHeld:
    return LineHeld(Reason.LINE_HELD, note=note)
