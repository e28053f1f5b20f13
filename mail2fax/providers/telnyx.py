"""Provider `telnyx`: Telnyx's Programmable Fax API v2 (developers.telnyx.com/api-reference/programmable-fax-commands).

Our reference travels as client_state, and a lost answer is looked for in the list of faxes to that number. Telnyx calls
once: a busy line is called again by us. How many pages went it tells in a webhook only.
"""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mail2fax import log
from mail2fax.config import Provider
from mail2fax.model import Capabilities, Cause, Line, LineHeld, Progress, Reason, State, Stopped, Temporary, Trace
from mail2fax.providers import Commit, http, verdicts
from mail2fax.providers.held_body import HeldBody

SLACK = timedelta(minutes=10)  # by which the vendor's clock and ours may differ
LONGEST_WORD = 60
_PAGE, _PAGES = 250, 8  # faxes on a page of the list, and pages that are looked through

OPTIONS: Mapping[str, str | int | bool] = {
    "quality": "high",  # normal, high, very_high, ultra_light or ultra_dark
    "t38": True,  # fax over IP where the other side can
    "webhook_key": "",  # the account's public key; [web] webhooks believes what it signed
}

_CAUSES: Mapping[Cause, str] = {
    Cause.BUSY: "user_busy",
    Cause.NO_ANSWER: "receiver_no_answer receiver_no_response",
    Cause.NO_FAX: "fax_initial_communication_timeout receiver_decline",
    Cause.NUMBER_INVALID: "receiver_invalid_number_format receiver_unallocated_number destination_invalid",
    Cause.NOT_PERMITTED: (
        "destination_not_in_service_plan destination_not_in_countries_whitelist unverified_origination_number"
        " unverified_destination_not_allowed receiver_incompatible_destination"
    ),
    Cause.LINE_TROUBLE: (
        "carrier_lost fax_signaling_error receiver_communication_error sender_communication_error"
        " receiver_recovery_on_timer_expire destination_unreachable invalid_ecm_response_from_receiver"
    ),
    Cause.HUNG_UP: "receiver_call_dropped sender_call_dropped",
    Cause.DOCUMENT: (
        "file_format_invalid file_download_failed file_size_limit_exceeded page_count_limit_exceeded"
        " media_processing_exception"
    ),
    Cause.ACCOUNT: (
        "account_disabled no_outbound_profile user_channel_limit_exceeded outbound_profile_channel_limit_exceeded"
        " connection_channel_limit_exceeded outbound_profile_daily_spend_limit_exceeded"
    ),
    Cause.CANCELLED: "sender_canceled",
    Cause.PROVIDER: "service_unavailable",
}
_BY_REASON = {reason: cause for cause, reasons in _CAUSES.items() for reason in reasons.split()}
_WORDS = {
    "queued": "Queued",
    "media.processing": "Converting",
    "media.processed": "Converted",
    "initiated": "Calling",
    "originated": "Calling",
    "sending": "Sending",
    "delivered": "Delivered",
    "failed": "Failed",
}
_FINAL = {"delivered": State.DELIVERED, "failed": State.FAILED}


def _data(data: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = data.get("data")
    return inner if isinstance(inner, dict) else {}


def _detail(data: Mapping[str, Any]) -> Any:
    errors = data.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return first.get("detail") or first.get("title")


_TELNYX = verdicts.Dialect(lambda data: verdicts.ref_of(_data(data).get("id")), _detail)


class Telnyx:
    """See `providers.Provider`. One for the whole node."""

    # What is larger it takes, and fails afterwards: file_size_limit_exceeded, page_count_limit_exceeded.
    capabilities = Capabilities(
        finds=True, cancels=True, tells_cause=True, dials_again=False, max_pages=350, max_bytes=50_000_000
    )

    def __init__(self, settings: Provider) -> None:
        self.api = http.Api(settings)
        self._warned = False

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit, reference: str) -> str:
        """Hand over a PDF; see `Provider.submit`. `to`, without which no fax can be sent, comes last."""
        options = _options(line)
        before = (
            ("connection_id", line.account),
            ("from", f"+1{line.from_number}"),
            ("quality", str(options["quality"])),
            ("t38_enabled", str(bool(options["t38"])).lower()),
            ("store_media", "false"),
            ("client_state", _state(reference)),
        )
        with http.opened(document) as file:
            body = HeldBody(file, name, field="contents", before=before, after=[("to", f"+1{number}")])
            answer = await self.api.post("/faxes", body, commit, _headers(line))
        ref = verdicts.submission(answer, committed=body.committed, redact=log.redact, api=_TELNYX)
        if not body.committed:
            await commit()
        self._see_whether_kept(answer, reference)
        return ref

    async def status(self, line: Line, ref: str) -> Progress:
        """Ask for the fax; see `Provider.status`."""
        return progress(_data(await self._asked(line, f"/faxes/{quote(ref, safe='')}")))

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:  # noqa: ARG002
        """Look through the faxes to this number since then for our client_state. Not seen proves nothing."""
        wanted = {
            "filter[to][eq]": f"+1{number}",
            "filter[direction][eq]": "outbound",
            "filter[created_at][gte]": (since - SLACK).isoformat(timespec="seconds"),
            "page[size]": str(_PAGE),
        }
        for page in range(1, _PAGES + 1):
            params = {**wanted, "page[number]": str(page)}
            data = await self._asked(line, "/faxes", params=params, longest=http.LONGEST_LIST)
            faxes = [fax for fax in data.get("data") or () if isinstance(fax, dict)]
            for fax in faxes:
                if fax.get("client_state") == _state(reference) and (found := verdicts.ref_of(fax.get("id"))):
                    return Trace(found)
            if len(faxes) < _PAGE:
                break
        return Trace()

    async def cancel(self, line: Line, ref: str) -> Stopped:
        """Ask Telnyx to cancel; possible until the fax is over."""
        path = f"/faxes/{quote(ref, safe='')}/actions/cancel"
        answer = await self.api.ask("POST", path, headers=_headers(line))
        if answer.status in {404, 409, 422}:
            return Stopped.TOO_LATE
        verdicts.told(answer, redact=log.redact, api=_TELNYX)
        return Stopped.ASKED

    async def forget(self, line: Line, ref: str) -> None:
        """Nothing is stored there: store_media is false."""

    async def check(self, line: Line) -> None:
        """Reach the address, and see whether the settings can make a request."""
        _options(line)
        await self.api.reach()

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()

    def _see_whether_kept(self, answer: verdicts.Answer, reference: str) -> None:
        """Telnyx declares client_state for its JSON requests, not for its form: should it be dropped, people hear."""
        kept = _data(verdicts.told(answer, redact=log.redact, api=_TELNYX)).get("client_state") == _state(reference)
        if not kept and not self._warned:
            self._warned = True
            log.reference_dropped(provider="telnyx")

    async def _asked(self, line: Line, path: str, **how: Any) -> Mapping[str, Any]:
        answer = await self.api.ask("GET", path, headers=_headers(line), **how)
        return verdicts.told(answer, redact=log.redact, api=_TELNYX)


def progress(data: Mapping[str, Any]) -> Progress:
    """A fax object, as we say it. Pure."""
    status = data.get("status")
    if not isinstance(status, str) or not status.strip():
        raise Temporary(Reason.PROVIDER_BUSY, note="a fax without a status")
    final, reason = _FINAL.get(status), data.get("failure_reason")
    said = reason if isinstance(reason, str) else ""
    cause = _BY_REASON.get(said, Cause.UNSPOKEN) if final is State.FAILED else None
    word = _WORDS.get(status, http.shown(status)[:LONGEST_WORD])
    return Progress(word, final, known=status in _WORDS, cause=cause, code=http.shown(said)[:LONGEST_WORD])


def _state(reference: str) -> str:
    return base64.b64encode(reference.encode()).decode()


def _headers(line: Line) -> dict[str, str]:
    http.hide(line)
    return {"Authorization": f"Bearer {line.token}"}


def _options(line: Line) -> Mapping[str, str | int | bool]:
    """What was said of the line's options, over the defaults. Raises LineHeld for what makes no sense."""
    if unknown := set(line.options) - set(OPTIONS):
        raise LineHeld(Reason.LINE_HELD, note=f"options: telnyx knows no {min(unknown)}, but {', '.join(OPTIONS)}")
    if not line.account or not line.from_number:
        raise LineHeld(Reason.LINE_HELD, note="telnyx needs account, its connection id, and from_number")
    return {**OPTIONS, **line.options}
