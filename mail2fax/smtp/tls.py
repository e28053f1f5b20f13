"""Our own certificate, and what it means when a handshake fails. Loading the certificate anew makes a new context."""

import ssl

from mail2fax.config import Smtp

CLIENT_HELLO = b"\x16\x03"  # RFC 8446 section 5.1: how each TLS conversation begins, and no command of SMTP
ON_PLAIN_PORT = "TLS from the first byte on a port for plain SMTP and STARTTLS: TLS ports are [smtp] listen_tls"
SILENT = "the client says nothing: one for plain SMTP waits for a greeting on a TLS port"
_WORDS = {
    "WRONG_VERSION_NUMBER": "not TLS: a plain client on a TLS port, or one that does not know STARTTLS",
    "HTTP_REQUEST": "not TLS: a web client on a TLS port",
    "UNSUPPORTED_PROTOCOL": "unsupported protocol: the client knows nothing newer than TLS 1.1",
    "NO_SHARED_CIPHER": "no shared cipher: see [smtp] tls_ciphers",
}


def open_context(settings: Smtp) -> ssl.SSLContext | None:
    """A context for new connections, or None without a certificate. Raises OSError (ssl.SSLError is one)."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.tls_ciphers:
        context.set_ciphers(settings.tls_ciphers)
    context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    return context


def failure(error: BaseException) -> str:
    """Why a handshake failed, in OpenSSL's words and, where they are dark, in ours."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return _WORDS.get(error.reason, error.reason.lower().replace("_", " "))
    return "the client left in the middle of it, or was too slow: does it trust our certificate?"
