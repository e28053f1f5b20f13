"""The section [smtp]."""

from typing import Literal

from pydantic import Field, SecretStr, model_validator

from mail2fax.config.section import Section
from mail2fax.config.types import (
    Address,
    CertificateName,
    Ciphers,
    Count,
    Domain,
    File,
    HostPort,
    Limit,
    Network,
    Pattern,
    Seconds,
)


class Smtp(Section):
    """The door: where mail is accepted, and from whom."""

    listen: list[HostPort] = ["127.0.0.1:2525"]
    """Addresses for relay and submission, in plain or with STARTTLS. Port 0 takes a free one."""
    listen_tls: list[HostPort] = []
    """Addresses for implicit TLS (RFC 8314)."""
    hostname: Domain = "fax.local"
    """The name mail2fax greets with. Give it another name than the relay's own."""
    domains: list[Domain] = Field(default=["fax.local"], min_length=1)
    """Mail to <number>@ one of these is faxed. `.local` is reserved for mDNS: add a real name for cloud mail hosts."""
    max_message_size: Count = 36_700_160
    """Bytes of one mail. A PDF grows by 37 % in a mail."""
    max_recipients: Count = 100
    """Recipients of one mail."""
    max_connections: Count = 200
    """Connections open at once, in all."""
    max_connections_per_client: Count = 50
    """Connections open at once from one client address."""
    max_messages_per_connection: Count = 1000
    """Mails on one connection before it is asked to reconnect (421)."""
    max_messages_per_minute: Limit = 0
    """Mails a minute from one client address; 0 sets no limit."""
    max_errors: Count = 20
    """Refused or unknown commands on one connection before it is closed (421)."""
    max_bytes_in_flight: Count = 1_073_741_824
    """Bytes of mail being received at once, in all."""
    max_spool: Limit = 100_000
    """Faxes waiting at once; above it new mail is deferred (451). 0 sets no limit."""
    bare_newlines: Literal["normalize", "refuse"] = "normalize"
    """Bare LF and CR in a mail, as scripts and scanners send them: made CR LF, or refused (550). They never end it."""
    min_rate: Limit = 500
    """Bytes a second a client must send on average during DATA, after its first minute; 0 sets no limit."""
    timeout: Seconds = 300.0
    """Seconds of silence before a connection is closed (421). RFC 5321 asks for five minutes."""
    trusted_networks: list[Network] = ["127.0.0.0/8", "::1/128"]
    """Clients here may send without a login."""
    proxy_networks: list[Network] = []
    """Load balancers that speak the PROXY protocol; from them it is then required."""
    allowed_senders: list[Pattern] = ["*"]
    """Patterns on the whole reverse-path, upper and lower case alike, such as "*@office.example"."""
    required_header: str = ""
    """A header that proves whose mail a shared cloud server brings, such as "X-MS-Exchange-CrossTenant-Id"."""
    required_header_value: SecretStr = SecretStr("")
    """The value that it must have. Better: required_header_value_file."""
    required_header_value_file: File = ""
    """File that holds the value."""
    required_header_networks: list[Network] = []
    """Clients of whom it is asked, unless they log in; empty: all."""
    client_certificates: list[CertificateName] = []
    """Names in a client's TLS certificate, such as "mail.office.example": who shows one may send without a login."""
    client_certificate_networks: list[Network] = []
    """Clients that are asked for a certificate; empty: all. Of those a certificate that cannot be verified ends TLS."""
    client_ca_file: File = ""
    """PEM file of the authorities whose client certificates count; empty: the system's own list."""
    users_file: File = ""
    """name:hash[:pattern,pattern] lines for AUTH; made by `mail2fax passwd`."""
    tls_certificate: File = ""
    """PEM file with the certificate chain; turns on STARTTLS."""
    tls_key: File = ""
    """PEM file with the private key, if it is not in tls_certificate."""
    tls_ciphers: Ciphers = ""
    """OpenSSL's list for TLS 1.2, such as "DEFAULT:AES128-SHA" for devices that know no newer ones; "" is Python's."""
    require_tls: bool = False
    """Refuse mail on a connection without TLS (530)."""
    postmaster: Address = ""
    """Mail to postmaster is forwarded to this address (RFC 5321 section 4.5.1)."""
    dsn: bool = True
    """Offer delivery status notifications (RFC 3461)."""

    @model_validator(mode="after")
    def _keys(self) -> "Smtp":
        if self.listen_tls and not self.tls_certificate:
            raise ValueError("listen_tls needs tls_certificate")
        if self.require_tls and not self.tls_certificate:
            raise ValueError("require_tls needs tls_certificate")
        if self.client_certificates and not self.tls_certificate:
            raise ValueError("client_certificates needs tls_certificate: a client shows its own after ours")
        if self.required_header and not self.required_header_value.get_secret_value():
            raise ValueError("required_header needs required_header_value, or everybody would have it")
        self._refuse_idle(
            required_header=("required_header_value", "required_header_networks"),
            client_certificates=("client_certificate_networks", "client_ca_file"),
            tls_certificate=("tls_key", "tls_ciphers"),
        )
        self._refuse_beyond(max_connections_per_client="max_connections")
        if not self.listen and not self.listen_tls:
            raise ValueError("listen and listen_tls are both empty: no mail could come in")
        return self

    @property
    def spare(self) -> int:
        """Bytes of free disk without which no mail is taken: half as much again as the largest, as Postfix keeps."""
        return self.max_message_size * 3 // 2
