"""The section [reply]."""

from email.utils import parseaddr
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from mail2fax.config.section import Section
from mail2fax.config.types import (
    Address,
    ChosenLanguage,
    Count,
    File,
    Folder,
    Language,
    Limit,
    Mailbox,
    OptionalClock,
    OptionalDomain,
    OptionalTokenUrl,
    Pattern,
    RelayUrl,
    Seconds,
    Wait,
    Zone,
)


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
    relay_oauth_token_url: OptionalTokenUrl = ""
    """Where a token for the relay is had (OAuth 2.0, client credentials): it logs `relay`'s user in by XOAUTH2."""
    relay_oauth_client_id: str = ""
    """Who asks for the token: the application's id there."""
    relay_oauth_client_secret: SecretStr = SecretStr("")
    """The application's secret. Better: relay_oauth_client_secret_file."""
    relay_oauth_client_secret_file: File = ""
    """File that holds it."""
    relay_oauth_scope: str = ""
    """What the token is for, such as "https://outlook.office365.com/.default"."""
    timeout: Seconds = 60.0
    """Seconds for handing over one reply."""
    concurrency: Count = 4
    """Replies handed over at once."""
    sender: Mailbox = "Fax <fax@fax.local>"
    """From of the replies. A person should read this mailbox."""
    envelope_sender: Address = ""
    """MAIL FROM of the replies. Empty is the null reverse-path (RFC 3834); some smarthosts insist on an address."""
    dkim_key_file: File = ""
    """PEM file of the RSA key that signs replies (DKIM, RFC 6376); empty: they are not signed."""
    dkim_selector: OptionalDomain = ""
    """The name under which its public half is published: <selector>._domainkey.<domain>."""
    dkim_domain: OptionalDomain = ""
    """The domain that signs; empty: that of `sender`."""
    admin: Mailbox = ""
    """Gets the alerts: replies that could not be delivered, a held line, an unknown fax."""
    daily_summary: OptionalClock = ""
    """When `admin` gets a mail about the last 24 hours, such as "07:30", by `time_zone`; empty: never."""
    retry_first: Wait = 30.0
    """Seconds before a reply is offered again; doubled each time up to an hour."""
    give_up: Seconds = 432_000.0
    """Seconds after which a reply is given up as undeliverable."""
    delay_notice: Limit = 900
    """Seconds after which the sender of a waiting fax gets one "still trying" mail; 0 sends none."""
    templates: Folder = ""
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

    @property
    def mailbox(self) -> str:
        """The address in `sender`, without a name."""
        return parseaddr(self.sender)[1]

    @property
    def admin_mailbox(self) -> str:
        """The address in `admin`, without a name."""
        return parseaddr(self.admin)[1]

    @model_validator(mode="after")
    def _keys(self) -> "Reply":
        if self.dkim_key_file and not self.dkim_selector:
            raise ValueError("dkim_key_file needs dkim_selector: under which name is the public key?")
        if self.dkim_key_file and not self.dkim_domain and not self.sender:
            raise ValueError("dkim_key_file needs dkim_domain, since sender is empty")
        if self.relay_oauth_token_url:
            self._oauth()
        self._refuse_idle(
            dkim_key_file=("dkim_selector", "dkim_domain"),
            relay_oauth_token_url=("relay_oauth_client_id", "relay_oauth_client_secret", "relay_oauth_scope"),
            admin=("daily_summary",),
            resend=("secret",),
        )
        relay = urlsplit(self.relay)
        if self.relay_password.get_secret_value() and not relay.username:
            raise ValueError("relay_password needs a user in relay: smtp+starttls://fax%40office.example@host:587")
        if self.relay_ca_file and relay.scheme == "smtp":
            raise ValueError("relay_ca_file needs TLS to the relay: smtp+starttls:// or smtps://")
        return self

    def _oauth(self) -> None:
        if not self.relay_oauth_client_id or not self.relay_oauth_client_secret.get_secret_value():
            raise ValueError("relay_oauth_token_url needs relay_oauth_client_id and relay_oauth_client_secret_file")
        relay = urlsplit(self.relay)
        if not relay.username:
            raise ValueError(
                "relay_oauth_token_url needs a user in relay: smtp+starttls://fax%40office.example@host:587"
            )
        if relay.password or self.relay_password.get_secret_value():
            raise ValueError("relay_oauth_token_url: a password of the relay is given, too; keep one of them")
        # A token is a password to whoever reads it (RFC 6750 section 5.3).
        if relay.scheme == "smtp":
            raise ValueError("relay_oauth_token_url needs TLS to the relay: smtp+starttls:// or smtps://")
