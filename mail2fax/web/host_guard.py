"""Who may ask the status page, and how: only to read, only under a name of ours, and nothing of it is kept or framed.

The page has no login, so a browser of the house must not become a stranger's hand: a strange site can point its own
name at our address (DNS rebinding), and would then read the page as its own.
"""

import ipaddress
import socket
from collections.abc import Collection, Iterable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READING = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

# A balancer's own check (HAProxy's, in HTTP/1.0) names no host. A browser always does, so no stranger reads these.
_FOR_MACHINES = frozenset({"/healthz", "/readyz", "/metrics"})


class Guard:
    """Stands before the pages."""

    def __init__(self, pages: ASGIApp, names: Iterable[str], methods: Collection[str] = _READING) -> None:
        self._pages = pages
        self._methods = methods
        self._names = frozenset(name.lower() for name in (*names, socket.gethostname()) if name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the page answer; the headers are on every answer."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message), _HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._pages)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in self._methods:
            allowed = ", ".join(sorted(self._methods))
            return PlainTextResponse(f"This page is only asked by {allowed}.\n", 405, {"Allow": allowed})
        host = Headers(scope=scope).get("host", "")
        if not host and scope["path"] in _FOR_MACHINES:
            return None
        if not self._is_ours(_without_port(host)):
            # RFC 9110 section 15.5.20: this server does not answer for that name.
            return PlainTextResponse("Not a name of this page: see [web] hosts in its settings.\n", 421)
        return None

    def _is_ours(self, name: str) -> bool:
        """An IP address or a name without a dot cannot be a stranger's: nobody can point those elsewhere."""
        return name in self._names or (bool(name) and "." not in name and ":" not in name) or _is_ip(name)


def _without_port(host: str) -> str:
    """RFC 9110 section 7.2: host, perhaps in brackets, perhaps with a port. A name may end with the root's dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _add(headers: MutableHeaders, more: Mapping[str, str]) -> None:
    for name, value in more.items():
        headers.setdefault(name, value)
