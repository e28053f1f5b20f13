"""Our own certificate, as the door and the page show it. Loading it anew is making a new context."""

import ssl

from mail2fax.config import Smtp


def open_context(settings: Smtp) -> ssl.SSLContext | None:
    """A context for new connections, or None without a certificate. Raises OSError (ssl.SSLError is one)."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    return context
