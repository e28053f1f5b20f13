"""The settings, typed and strict: one class a section, one line of explanation a key.

The two largest, [smtp] and [reply], have files of their own. docs/configuration.md is generated from all of them;
`config` reads the values.
"""

import json
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from mail2fax.config import agreement
from mail2fax.config.reply import Reply
from mail2fax.config.section import Section
from mail2fax.config.smtp import Smtp
from mail2fax.config.types import (
    SQLITE,
    Allowed,
    Count,
    Denied,
    Domain,
    File,
    Limit,
    NumberPattern,
    OptionalHostPort,
    OptionalProviderName,
    OptionalProviderUrl,
    Options,
    OwnNumber,
    Pattern,
    ProviderName,
    ProviderUrl,
    Seconds,
    SpoolUrl,
    Wait,
)


class Numbers(Section):
    """Which numbers may be faxed. What is not allowed is refused."""

    country: Literal["CA", "US"] = "CA"
    """How a number without +country code is read."""
    allow: list[Allowed] = ["CA", "US", "tollfree"]
    """CA, US, `territories` (of the US), `tollfree`, or prefixes such as "+1876" that are opened on purpose."""
    unassigned: Literal["allow", "refuse"] = "refuse"
    """An area code that is newer than this version. Most are ordinary ones; a few are abroad, and charged so."""
    mistyped: Literal["refuse", "reply"] = "refuse"
    """A number that cannot be dialled, from a client let in without a login: refused, or answered by a reply."""
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

    @model_validator(mode="after")
    def _keys(self) -> "Limits":
        hours = ("sender_faxes", "sender_pages", "total_faxes", "total_pages")
        self._refuse_beyond(**{f"{name}_per_hour": f"{name}_per_day" for name in hours})
        return self


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
    _line: "FaxLine | None" = None

    @model_validator(mode="after")
    def _keys(self) -> "Provider":
        agreement.provider_uses(self.name, account=self.account, from_number=self.from_number)
        return self

    def of_line(self, line: "FaxLine") -> "Provider":
        """The same, for a line with keys of its own: its errors name those where it has them."""
        known = self.model_copy()
        known._line = line  # noqa: SLF001 -- a section of ours
        return known

    def place(self, key: str) -> str:
        """Where the key is written: with the line, if it has it, or should have it."""
        own = {"name": "provider"}.get(key, key)
        if self._line and (getattr(self._line, own, None) or own == "token_file"):
            return self._line.place(own)
        return super().place(key)

    @property
    def heading(self) -> str:
        """That of the line, if it is one's."""
        return self._line.heading if self._line else super().heading


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

    @model_validator(mode="after")
    def _keys(self) -> "FaxLine":
        self._refuse_idle(senders=("numbers",))
        return self

    @property
    def heading(self) -> str:
        """With its name, since there may be several."""
        return f"[[line]] {json.dumps(self.name, ensure_ascii=False)}"


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

    @model_validator(mode="after")
    def _keys(self) -> "Documents":
        self._refuse_beyond(keep_days="history_days", cpu_seconds="wall_seconds")
        return self


class Cover(Section):
    """The cover page."""

    enabled: Literal["never", "always", "on-request"] = "on-request"
    """On request: the recipient is <number>@cover.<domain>, or <number>+cover@<domain>."""
    template: File = ""
    """File that replaces the shipped cover page."""
    company: str = ""
    """Name on the cover page."""

    @model_validator(mode="after")
    def _keys(self) -> "Cover":
        if self.enabled == "never" and (self.template or self.company):
            raise ValueError("there is never a cover page: template and company need another `enabled`")
        return self


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

    @model_validator(mode="after")
    def _keys(self) -> "Spool":
        if self.password.get_secret_value() and self.url.startswith(SQLITE):
            raise ValueError("password needs postgresql:// in url: an SQLite spool has none")
        return self


class Poll(Section):
    """How often the provider is asked for the status."""

    first: Wait = 5.0
    """Seconds until the first look, and between later ones once the pages can be through (45 seconds each)."""
    longest: Wait = 60.0
    """Seconds between two looks at the most."""
    deadline: Seconds = 21_600.0
    """Seconds after which the outcome is `unknown`."""

    @model_validator(mode="after")
    def _keys(self) -> "Poll":
        self._refuse_beyond(first="longest")
        return self


class Retry(Section):
    """How often a fax is offered to a provider that does not take it."""

    first: Wait = 10.0
    """Seconds before the second attempt; doubled each time up to `longest`."""
    longest: Wait = 900.0
    """Seconds between two attempts at the most."""
    give_up: Seconds = 86_400.0
    """Seconds a fax may wait for the provider before it fails with 4.4.7."""

    @model_validator(mode="after")
    def _keys(self) -> "Retry":
        self._refuse_beyond(first="longest")
        return self


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
    webhooks: OptionalHostPort = ""
    """host:port hears providers' webhooks (Telnyx): they hurry a look, no more. Put a proxy with https before it."""

    @model_validator(mode="after")
    def _keys(self) -> "Web":
        if self.hosts and not self.listen and not self.operate:
            raise ValueError("hosts needs listen or operate: without a page, it does nothing")
        if self.proxy_user_header != type(self).model_fields["proxy_user_header"].default:
            self._refuse_idle(proxy_secret=("proxy_user_header",))
        self._refuse_idle(operate=("operate_https", "proxy_secret"))
        return self


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
        agreement.answers_reach_people(self.reply.mailbox, self.smtp.domains)
        agreement.lines(self.line, self.provider.fallback)
        agreement.somebody_may_operate(self.web.operate, self.smtp.users_file)
        return self
