"""The settings, typed and strict: one class a section, one line of explanation a key.

docs/configuration.md is generated from this file (`reference` reads the lines); `config` reads the values.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from mail2fax.config import agreement
from mail2fax.config.types import (
    Address,
    Allowed,
    ChosenLanguage,
    Ciphers,
    Count,
    Denied,
    Domain,
    File,
    HostPort,
    Language,
    Limit,
    Mailbox,
    Network,
    NumberPattern,
    OptionalHostPort,
    OptionalProviderName,
    OptionalProviderUrl,
    Options,
    OwnNumber,
    Pattern,
    ProviderName,
    ProviderUrl,
    RelayUrl,
    Seconds,
    SpoolUrl,
    Zone,
)


class Section(BaseModel):
    """What all sections share: frozen, nothing unknown, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


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
        if self.required_header and not self.required_header_value.get_secret_value():
            raise ValueError("required_header needs required_header_value, or everybody would have it")
        return self

    @property
    def spare(self) -> int:
        """Bytes of free disk without which no mail is taken: half as much again as the largest, as Postfix keeps."""
        return self.max_message_size * 3 // 2


class Numbers(Section):
    """Which numbers may be faxed. What is not allowed is refused."""

    country: Literal["CA", "US"] = "CA"
    """How a number without +country code is read."""
    allow: list[Allowed] = ["CA", "US", "tollfree"]
    """CA, US, `territories` (of the US), `tollfree`, or prefixes such as "+1876" that are opened on purpose."""
    unassigned: Literal["allow", "refuse"] = "refuse"
    """An area code that is newer than this version. Most are ordinary ones; a few are abroad, and charged so."""
    mistyped: Literal["refuse", "reply"] = "refuse"
    """A number that cannot be dialled, from a client in `[smtp] trusted_networks`: refused, or answered by a reply."""
    deny: list[Denied] = []
    """Numbers or prefixes that are refused although `allow` would let them pass."""


class Limits(Section):
    """Budgets. 0 sets no limit. Above one, mail is deferred (452): the mail server keeps it and tries again."""

    sender_faxes_per_hour: Limit = 0
    """Faxes an hour for one reverse-path."""
    sender_faxes_per_day: Limit = 0
    """Faxes in 24 hours for one reverse-path."""
    sender_pages_per_hour: Limit = 0
    """Pages an hour for one reverse-path."""
    sender_pages_per_day: Limit = 0
    """Pages in 24 hours for one reverse-path."""
    total_faxes_per_hour: Limit = 0
    """Faxes an hour in all."""
    total_faxes_per_day: Limit = 0
    """Faxes in 24 hours in all."""
    total_pages_per_hour: Limit = 0
    """Pages an hour in all."""
    total_pages_per_day: Limit = 0
    """Pages in 24 hours in all."""
    number_faxes_per_day: Limit = 0
    """Faxes in 24 hours to one number."""


class Provider(Section):
    """The fax API."""

    name: ProviderName = "rinble"
    """`rinble`, `hylafax`, `sinch`, `telnyx`, `sandbox` (nothing is faxed), or "package.module:Class"."""
    url: ProviderUrl = "https://internal.callerip.ca:8000/api/fax"
    """Where the API is. For another provider than rinble this default means that provider's own address."""
    account: str = ""
    """What the provider calls the account: Sinch's project id, Telnyx's connection id."""
    from_number: OwnNumber = ""
    """The number that faxes come from, where the provider asks for it."""
    token: SecretStr = SecretStr("")
    """The fax line's token, key or password. Better: token_file."""
    token_file: File = ""
    """File that holds the token."""
    options: Options = {}
    """What only this provider has, such as { key = "…" } for Sinch; docs/providers.md lists them."""
    fallback: str = ""
    """The [[line]] that takes waiting faxes while this one is in trouble; never one that may have been sent."""
    ca_file: File = ""
    """PEM file of the authority that signed the provider's certificate; empty: the system's own list."""
    timeout: Seconds = 120.0
    """Seconds for one request as a whole."""
    concurrency: Count = 8
    """Requests to the provider at once, for each of submitting and polling."""


class FaxLine(Section):
    """More fax lines. The first whose patterns fit the sender and the number is used, else the one of [provider]."""

    name: str = Field(min_length=1)
    """How logs and `mail2fax show` call it."""
    senders: list[Pattern]
    """Patterns on the whole reverse-path; [] for a line that is only a fallback."""
    numbers: list[NumberPattern] = []
    """Only for these numbers, such as ["+1416*"]; empty: for all."""
    token: SecretStr = SecretStr("")
    """The line's token. Better: token_file."""
    token_file: File = ""
    """File that holds the token."""
    provider: OptionalProviderName = ""
    """Another provider than [provider] name, for this line."""
    url: OptionalProviderUrl = ""
    """Its address, if not the usual one."""
    account: str = ""
    """As in [provider]."""
    from_number: OwnNumber = ""
    """As in [provider]."""
    options: Options = {}
    """As in [provider], on top of those if the provider is the same."""
    fallback: str = ""
    """As in [provider]; "default" is the line of [provider]."""
    ca_file: File = ""
    """As in [provider]."""


class Documents(Section):
    """What is made of the attachments, and how long it is kept."""

    several: Literal["merge", "separate"] = "merge"
    """Several PDFs in one mail: one fax of all in order, or one fax each."""
    incomplete: Literal["hold", "send"] = "hold"
    """When an attachment cannot be faxed: hold back the others, too, or send them and say "Faxed in part"."""
    page_size: Literal["letter", "keep"] = "letter"
    """Fit every page to 8.5 x 11 inches, or leave pages as they are."""
    pages: Literal["auto", "as-is", "mono"] = "auto"
    """Blacken what a fax would lose of greys and colours, nothing, or all: every page as a black and white picture."""
    max_pages: Count = 200
    """Pages of one fax."""
    convert: list[Literal["images", "text", "office", "archives"]] = ["images"]
    """Attachments that are faxed besides PDFs: scans, texts, office files (needs LibreOffice), zips."""
    keep_days: Seconds = 7.0
    """Days that documents and mails are kept after the outcome; then only the history is."""
    history_days: Seconds = 90.0
    """Days that the history of a fax is kept."""
    workers: Limit = 0
    """Documents prepared at once, each in a process of its own; 0 takes the number of processors."""
    memory: Count = 1_073_741_824
    """Bytes of memory that one document may take while it is prepared."""
    cpu_seconds: Count = 20
    """Seconds of processor time that one document may take."""
    wall_seconds: Seconds = 40.0
    """Seconds that one document may take."""


class Cover(Section):
    """The cover page."""

    enabled: Literal["never", "always", "on-request"] = "on-request"
    """On request: the recipient is <number>@cover.<domain>, or <number>+cover@<domain>."""
    template: File = ""
    """File that replaces the shipped cover page."""
    company: str = ""
    """Name on the cover page."""


class Spool(Section):
    """Where accepted mail lives."""

    url: SpoolUrl = "sqlite:///spool.db"
    """sqlite:///path for one node, or postgresql://… for several."""
    password: SecretStr = SecretStr("")
    """The database password, if it is not in the URL. Better: password_file."""
    password_file: File = ""
    """File that holds the database password."""
    lease: Annotated[float, Field(ge=2)] = 60.0
    """Seconds after which another node takes over the work of a dead one."""
    drain: Seconds = 10.0
    """Seconds that steps in flight have to finish at shutdown."""


class Poll(Section):
    """How often the provider is asked for the status."""

    first: Seconds = 5.0
    """Seconds until the first look, and between later ones once the pages can be through (45 seconds each)."""
    longest: Seconds = 60.0
    """Seconds between two looks at the most."""
    deadline: Seconds = 21_600.0
    """Seconds after which the outcome is `unknown`."""


class Retry(Section):
    """How often a fax is offered to a provider that does not take it."""

    first: Seconds = 10.0
    """Seconds before the second attempt; doubled each time up to `longest`."""
    longest: Seconds = 900.0
    """Seconds between two attempts at the most."""
    give_up: Seconds = 86_400.0
    """Seconds a fax may wait for the provider before it fails with 4.4.7."""


class Reply(Section):
    """The mail that tells the sender how it went."""

    relay: RelayUrl = "smtp://127.0.0.1:25"
    """The outgoing mail server: smtp://, smtps:// or smtp+starttls://, with user:password@ if it asks for a login."""
    relay_password: SecretStr = SecretStr("")
    """Its password, if it is not in the URL. Better: relay_password_file."""
    relay_password_file: File = ""
    """File that holds the relay's password."""
    relay_ca_file: File = ""
    """PEM file of the authority that signed the relay's certificate; empty: the system's own list."""
    timeout: Seconds = 60.0
    """Seconds for handing over one reply."""
    concurrency: Count = 4
    """Replies handed over at once."""
    sender: Mailbox = "Fax <fax@fax.local>"
    """From of the replies. A person should read this mailbox."""
    envelope_sender: Address = ""
    """MAIL FROM of the replies. Empty is the null reverse-path (RFC 3834); some smarthosts insist on an address."""
    admin: Mailbox = ""
    """Gets the alerts: replies that could not be delivered, a held line."""
    retry_first: Seconds = 30.0
    """Seconds before a reply is offered again; doubled each time up to an hour."""
    give_up: Seconds = 432_000.0
    """Seconds after which a reply is given up as undeliverable."""
    delay_notice: Limit = 900
    """Seconds after which the sender of a waiting fax gets one "still trying" mail; 0 sends none."""
    templates: File = ""
    """A folder whose files replace the shipped ones one by one."""
    group: bool = False
    """One summary for a mail to several numbers, instead of a reply each."""
    language: ChosenLanguage = "auto"
    """Language of the replies: en, fr, or one that you add; auto takes it from the mail, else English."""
    languages: dict[Pattern, Language] = {}
    """Language by sender pattern, such as { "*@quebec.example" = "fr" }; goes before `language`."""
    time_zone: Zone = "America/Toronto"
    """Time zone of the times in replies."""
    preview: Literal["none", "first"] = "none"
    """Show the first page as a fax receives it. It may hold patient data: off by default."""
    json_part: bool = False
    """Add the outcome as an application/json part for machines."""
    failure_format: Literal["mail", "dsn"] = "mail"
    """A failure as a plain mail, or as a delivery status notification (RFC 3464) for all."""
    resend: bool = True
    """Let the sender send again, or cancel, by answering the reply."""
    secret: SecretStr = SecretStr("")
    """Key that signs the addresses for sending again; empty: made once and kept in the spool. Better: secret_file."""
    secret_file: File = ""
    """File that holds that key."""
    max_per_hour: Limit = 200
    """Replies an hour to one address; more wait. 0 sets no limit."""


class Web(Section):
    """The status page."""

    listen: OptionalHostPort = ""
    """host:port turns on the status page, /healthz, /readyz and /metrics. Keep it inside: it has no login."""
    hosts: list[Domain] = []
    """Names under which the page is opened, besides this machine's own, names without a dot, and IP addresses."""
    operate: OptionalHostPort = ""
    """host:port turns on the operator's page: with a login, for those whom [smtp] users_file gives a role."""
    operate_https: bool = False
    """Whether people reach that page by https, through a proxy: their cookie is then never sent in plain."""
    proxy_user_header: str = "X-Remote-User"
    """Header in which a proxy that logs people in says who it is. Believed with proxy_secret only."""
    proxy_secret: SecretStr = SecretStr("")
    """What that proxy sends in the header X-Mail2fax-Secret. Better: proxy_secret_file."""
    proxy_secret_file: File = ""
    """File that holds that secret."""


class Log(Section):
    """What mail2fax says of its work, on standard error."""

    format: Literal["console", "json"] = "console"
    """For people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious events that are shown."""


class Settings(Section):
    """All settings of one node."""

    smtp: Smtp = Smtp()
    numbers: Numbers = Numbers()
    limits: Limits = Limits()
    provider: Provider = Provider()
    line: list[FaxLine] = []
    documents: Documents = Documents()
    cover: Cover = Cover()
    spool: Spool = Spool()
    poll: Poll = Poll()
    retry: Retry = Retry()
    reply: Reply = Reply()
    web: Web = Web()
    log: Log = Log()

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        agreement.answers_reach_people(self.reply.sender, self.smtp.domains)
        agreement.lines(self.line, self.provider.fallback)
        return self
