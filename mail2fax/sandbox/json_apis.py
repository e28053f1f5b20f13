"""The sandbox's other dialects over HTTP: Sinch's Fax API v3 and Telnyx's v2, as far as mail2fax speaks them."""

import asyncio
import base64
import binascii
import mmap
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mail2fax.model import Cause
from mail2fax.sandbox import form
from mail2fax.sandbox.scenarios import Scenario
from mail2fax.sandbox.server import Received, Sandbox, spooled

_SINCH_STATUS = {"Loading": "QUEUED", "Converting": "QUEUED", "Success": "COMPLETED", "Failed": "FAILURE"}
_SINCH_ERROR: Mapping[Cause, tuple[str, int, str]] = {
    Cause.BUSY: ("CALL_ERROR", 17, "Busy"),
    Cause.NO_ANSWER: ("CALL_ERROR", 16, "Ring Timeout"),
    Cause.NO_FAX: ("FAX_ERROR", 132, "No fax tone detected"),
    Cause.HUNG_UP: ("FAX_ERROR", 131, "Incomplete transmission"),
    Cause.NUMBER_INVALID: ("CALL_ERROR", 34, "Phone number not operational"),
    Cause.ACCOUNT: ("FAX_ERROR", 46, "Insufficient funds"),
}
_TELNYX_STATUS = {
    "Loading": "queued",
    "Converting": "media.processed",
    "Pending": "originated",
    "Sending": "sending",
    "Success": "delivered",
    "Failed": "failed",
}
_TELNYX_REASON: Mapping[Cause, str] = {
    Cause.BUSY: "user_busy",
    Cause.NO_ANSWER: "receiver_no_answer",
    Cause.NO_FAX: "fax_initial_communication_timeout",
    Cause.HUNG_UP: "receiver_call_dropped",
    Cause.NUMBER_INVALID: "receiver_unallocated_number",
    Cause.ACCOUNT: "account_disabled",
}


@dataclass(frozen=True, slots=True)
class _Sent:
    """One POST as it was understood."""

    texts: Mapping[str, str]
    number: str
    document: bytes


class JsonApis:
    """The handlers, over a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def routes(self) -> list[Route]:
        """For the sandbox's application."""
        return [
            Route("/v3/projects/{project}/faxes", self._sinch_send, methods=["POST"]),
            Route("/v3/projects/{project}/faxes", self._sinch_list),
            Route("/v3/projects/{project}/faxes/{ref}", self._sinch_status),
            Route("/v3/projects/{project}/faxes/{ref}/file", self._sinch_delete, methods=["DELETE"]),
            Route("/oauth2/token", self._oauth, methods=["POST"]),
            Route("/v2/faxes", self._telnyx_send, methods=["POST"]),
            Route("/v2/faxes", self._telnyx_list),
            Route("/v2/faxes/{ref}", self._telnyx_status),
            Route("/v2/faxes/{ref}/actions/cancel", self._telnyx_cancel, methods=["POST"]),
        ]

    # -- Sinch

    async def _sinch_send(self, request: Request) -> Response:
        return await self._take(request, "file", "labels[mail2fax]", self._sinch)

    async def _sinch_list(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        to = request.query_params.get("to", "")
        faxes = [self._sinch(fax) for fax in self._sandbox.faxes if f"+1{fax.number}".startswith(to)]
        return JSONResponse({"faxes": faxes, "page": 1, "totalPages": 1, "totalItems": len(faxes)})

    async def _sinch_status(self, request: Request) -> Response:
        return self._asked(request, self._sinch)

    async def _sinch_delete(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        fax = self._sandbox.fax(request.path_params["ref"])
        if fax is None or not self._sandbox.delete(fax):
            return _problem(404, "The resource is not found")
        return Response(status_code=204)

    async def _oauth(self, request: Request) -> Response:
        token = _basic(request)
        if not self._sandbox.lets_in(token):
            return _problem(401, "Unauthorized")
        return JSONResponse({"access_token": f"bearer-{token}", "expires_in": 3599, "token_type": "bearer"})

    def _sinch(self, fax: Received) -> dict[str, Any]:
        status = _SINCH_STATUS.get(fax.status, "IN_PROGRESS")
        said: dict[str, Any] = {
            "id": fax.uuid,
            "direction": "OUTBOUND",
            "to": f"+1{fax.number}",
            "status": status,
            "labels": {"mail2fax": fax.reference},
            "createTime": fax.received_at.isoformat(timespec="milliseconds"),
            "numberOfPages": len(fax.pages),
            "retryCount": 0,
            "hasFile": fax.document is not None,
        }
        if status == "COMPLETED":
            said |= {"pagesSentSuccessfully": len(fax.pages), "price": {"amount": "0.0700", "currencyCode": "USD"}}
        if status == "FAILURE":
            kind, code, words = _SINCH_ERROR.get(fax.scenario.cause, ("GENERAL_ERROR", 0, "Failed"))
            said |= {"pagesSentSuccessfully": fax.scenario.pages_sent, "errorType": kind}
            said |= {"errorCode": code, "errorMessage": words}
        return said

    # -- Telnyx

    async def _telnyx_send(self, request: Request) -> Response:
        return await self._take(request, "contents", "client_state", lambda fax: {"data": self._telnyx(fax)}, 202)

    async def _telnyx_list(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        to = request.query_params.get("filter[to][eq]", "")
        faxes = [self._telnyx(fax) for fax in self._sandbox.faxes if to in {"", f"+1{fax.number}"}]
        return JSONResponse({"data": faxes, "meta": {"total_pages": 1, "total_results": len(faxes)}})

    async def _telnyx_status(self, request: Request) -> Response:
        return self._asked(request, lambda fax: {"data": self._telnyx(fax)})

    async def _telnyx_cancel(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        fax = self._sandbox.fax(request.path_params["ref"])
        if fax is None or fax.status in {"Success", "Failed"}:
            return _problem(422, "The fax cannot be cancelled")
        fax.stopped = True
        return JSONResponse({"data": {"result": "ok"}}, status_code=202)

    def _telnyx(self, fax: Received) -> dict[str, Any]:
        status = "failed" if fax.stopped else _TELNYX_STATUS.get(fax.status, fax.status)
        reason = "sender_canceled" if fax.stopped else _TELNYX_REASON.get(fax.scenario.cause)
        return {
            "record_type": "fax",
            "id": fax.uuid,
            "direction": "outbound",
            "to": f"+1{fax.number}",
            "status": status,
            "client_state": fax.reference,
            "created_at": fax.received_at.isoformat(timespec="milliseconds"),
            "failure_reason": reason if status == "failed" else None,
        }

    # -- both

    async def _take(self, request: Request, file: str, state: str, shown: Any, good: int = 200) -> Response:
        if refused := self._refused(request):
            return refused
        try:
            sent = await self._understood(request, file)
        except ClientDisconnect:
            return Response(status_code=400)
        except (form.NotAsDocumented, ValueError) as error:
            self._sandbox.refused = [*self._sandbox.refused[-99:], str(error)]
            return _problem(422, str(error))
        reference = sent.texts.get(state, "")
        scenario = self._sandbox.scenario(sent.number, reference)
        await asyncio.sleep(scenario.pause)
        if not scenario.takes:
            return _refusal(scenario)
        fax = await self._sandbox.take(sent.number, f"{reference}.pdf", sent.document, scenario, reference)
        if scenario.loses:
            request.state.transport.abort()
            await request.receive()
        return JSONResponse(shown(fax), status_code=good)

    async def _understood(self, request: Request, file: str) -> _Sent:
        with tempfile.TemporaryFile(dir=self._sandbox.folder) as body:
            await spooled(request, body)
            with mmap.mmap(body.fileno(), 0, access=mmap.ACCESS_READ) as content:
                texts, found = form.fields(content, request.headers.get("Content-Type", ""), file)
                return _Sent(texts, found.number, content[found.start : found.end])

    def _asked(self, request: Request, shown: Any) -> Response:
        if refused := self._refused(request):
            return refused
        fax = self._sandbox.fax(request.path_params["ref"])
        if fax is None:
            return _problem(404, "The resource is not found")
        fax.polls += 1
        if fax.polls <= fax.scenario.bad_polls:
            return Response("Internal Server Error", status_code=500)
        return JSONResponse(shown(fax))

    def _refused(self, request: Request) -> Response | None:
        kind, _, said = request.headers.get("Authorization", "").partition(" ")
        token = _basic(request) if kind == "Basic" else said.removeprefix("bearer-")
        # What a vendor echoes must not be shown anywhere.
        return None if token and self._sandbox.lets_in(token) else _problem(401, f"Invalid key {token}")


def _basic(request: Request) -> str:
    """The secret of HTTP's basic authentication."""
    said = request.headers.get("Authorization", "").removeprefix("Basic ")
    try:
        return base64.b64decode(said).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _refusal(scenario: Scenario) -> Response:
    headers = {"Retry-After": str(scenario.retry_after)} if scenario.retry_after is not None else None
    return _problem(scenario.error_code or scenario.http, scenario.what, headers)


def _problem(code: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as both vendors answer it: Sinch's keys beside Telnyx's."""
    body = {"code": code, "message": words, "errors": [{"code": str(code), "title": words, "detail": words}]}
    return JSONResponse(body, status_code=code, headers=headers)
