"""Our own certificate, the client's, and what a failed handshake means. Loading ours anew makes new contexts."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mail2fax.config import ConfigError, Smtp, loader
from mail2fax.rules.networks import Networks, means, parsed

CLIENT_HELLO = b"\x16\x03"  # RFC 8446 section 5.1: how each TLS conversation begins, and no command of SMTP
ON_PLAIN_PORT = "TLS from the first byte on a port for plain SMTP and STARTTLS: TLS ports are [smtp] listen_tls"
SILENT = "the client says nothing: one for plain SMTP waits for a greeting on a TLS port"
_WORDS = {
    "WRONG_VERSION_NUMBER": "not TLS: a plain client on a TLS port, or one that does not know STARTTLS",
    "HTTP_REQUEST": "not TLS: a web client on a TLS port",
    "UNSUPPORTED_PROTOCOL": "unsupported protocol: the client knows nothing newer than TLS 1.1",
    "NO_SHARED_CIPHER": "no shared cipher: see [smtp] tls_ciphers",
}


@dataclass(frozen=True, slots=True)
class Contexts:
    """Ours for everybody, and the one with which a client is asked for a certificate of its own."""

    plain: ssl.SSLContext
    asking: ssl.SSLContext | None
    networks: Networks  # those who are asked; none: all

    def of(self, client: str) -> ssl.SSLContext:
        """The one for this client. Others are not asked: many a mail server shows one that nobody can verify."""
        if self.asking is None or not means(self.networks, client):
            return self.plain
        return self.asking


def open_contexts(settings: Smtp) -> Contexts | None:
    """Contexts for new connections, or None without a certificate. Raises ConfigError."""
    plain = open_context(settings)
    if plain is None:
        return None
    asking = open_context(settings) if settings.client_certificates else None
    if asking:
        asking.verify_mode = ssl.CERT_OPTIONAL
        _trust(asking, settings)
    return Contexts(plain, asking, parsed(settings.client_certificate_networks))


def _trust(context: ssl.SSLContext, settings: Smtp) -> None:
    """Let those count whom the authorities in client_ca_file have certified, or the system's own without a file."""
    file = settings.client_ca_file
    if not file:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(file)
    except OSError as error:
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else loader.why_unreadable(error)
        raise ConfigError([f"{settings.place('client_ca_file')}: {file}: {why}"]) from None


def names(transport: Any) -> tuple[str, ...]:
    """The host names in the client's verified certificate (RFC 6125: the alternative names alone), in small letters."""
    certificate = transport.get_extra_info("peercert") or {}
    return tuple(value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")


def open_context(settings: Smtp) -> ssl.SSLContext | None:
    """A context for new connections, or None without a certificate. Raises ConfigError."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.tls_ciphers:
        context.set_ciphers(settings.tls_ciphers)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigError([_why_unusable(settings, error)]) from None
    return context


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the key has a password, and nobody is there to type it: `openssl pkey` writes one without")


def _why_unusable(settings: Smtp, error: Exception) -> str:
    """Which of the two files is at fault, and why."""
    key = "tls_key" if settings.tls_key else "tls_certificate"
    for name, form in (("tls_certificate", b"CERTIFICATE-----"), (key, b"PRIVATE KEY-----")):
        file = getattr(settings, name)
        place = f"{settings.place(name)}: {file}"
        try:
            content = Path(file).read_bytes()
        except OSError as unread:
            return f"{place}: {loader.why_unreadable(unread)}"
        if not re.search(b"-----BEGIN [A-Z ]*" + form, content):
            return f"{place}: holds no {form.rstrip(b'-').decode().lower()} in PEM form"
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return f"{place}: the key belongs to another certificate"
    if not _holds_certificates(settings.tls_certificate):
        return f"{settings.place('tls_certificate')}: {settings.tls_certificate}: holds a damaged certificate"
    return f"{place}: {error}"


def _holds_certificates(file: str) -> bool:
    """Whether OpenSSL can read them, the key aside."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError:
        return False
    return True


def failure(error: BaseException) -> str:
    """Why a handshake failed, in OpenSSL's words and, where they are dark, in ours."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate: {error.verify_message}; see [smtp] client_ca_file"
    if isinstance(error, ssl.SSLError) and error.reason:
        return _WORDS.get(error.reason, error.reason.lower().replace("_", " "))
    return "the client left in the middle of it, or was too slow: does it trust our certificate?"
