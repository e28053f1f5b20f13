"""May this client, with this reverse-path, fax this number? Asked in step 1, and by the command line.

Promise: what is not allowed by a setting is refused, in words that repeat what was seen and say what to do.
A refusal is an SMTP reply, one ASCII line; every answer can be traced to the setting that decides it.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from mail2fax.config import Limits, Settings, types
from mail2fax.model import Recipient, Usage, User
from mail2fax.rules import address, networks, numbers, senders
from mail2fax.rules.address import AddressError, MistypedError, shown
from mail2fax.rules.patterns import Patterns

REMEMBERED = 8192  # answers of each kind: a busy office has fewer senders and numbers
COVER = "cover."
SCOPES = {"sender": "from this sender", "total": "in all", "number": "to this number"}


_CODES = re.compile(r"^[245]\d\d [245]\.\d{1,3}\.\d{1,3} ")


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, and the setting behind it."""

    rule: str  # '[smtp] trusted_networks "127.0.0.0/8"'
    refusal: str | None = None  # the SMTP reply; None allows
    recipient: Recipient | None = None  # the fax that a forward-path asks for, when it is allowed
    mistyped: bool = False  # no number that can be dialled was read


class Policy:
    """The settings' answers. Nothing changes with time but the budgets, so all others are remembered."""

    def __init__(self, settings: Settings) -> None:
        self._smtp, self._numbers = settings.smtp, settings.numbers
        self._cover = settings.cover.enabled
        self._networks = networks.parsed(settings.smtp.trusted_networks)
        self._senders = Patterns(settings.smtp.allowed_senders)
        self._lines = [(line.name, Patterns(line.senders), Patterns(line.numbers or ["*"])) for line in settings.line]
        self._own = {settings.reply.envelope_sender.casefold(), settings.reply.mailbox.casefold()} - {""}
        self._prefixes = [prefix[2:] for prefix in settings.numbers.allow if prefix.startswith("+1")]
        self._denied = [prefix.removeprefix("+").removeprefix("1") for prefix in settings.numbers.deny]
        self._budgets = list(_budgets(settings.limits))
        self._ask = f"ask {settings.smtp.postmaster}" if settings.smtp.postmaster else "ask the administrator"
        self._network = lru_cache(REMEMBERED)(self._trusting)
        self.sender = lru_cache(REMEMBERED)(self._sender)
        self.recipient = lru_cache(REMEMBERED)(self._recipient)

    def client(self, peer: str, user: str, certified: Collection[str] = (), *, tls: bool) -> Ruling:
        """May this client send at all? `user` is the login, "" without one, `certified` what names it proved."""
        if self._smtp.require_tls and not tls:
            # RFC 3207 section 4: 530 is the code for a server that insists.
            return Ruling("[smtp] require_tls", "530 5.7.0 Must issue a STARTTLS command first")
        if user:
            return Ruling(f"login {shown(user)}")
        if network := self._network(peer):
            return Ruling(f'[smtp] trusted_networks "{network}"')
        for name in certified:
            if name in self._smtp.client_certificates:
                return Ruling(f'[smtp] client_certificates "{name}"')
        # RFC 6409 section 4.3: no mail from just anybody.
        way = "log in, or" if self._smtp.users_file else "no logins are set up here;"
        return Ruling(
            "[smtp] trusted_networks, none fits",
            f"530 5.7.0 Authentication required: {_ascii(peer)} is not in a trusted network"
            f"{self._uncertified(certified)}; {way} {self._ask}",
        )

    def _uncertified(self, certified: Collection[str]) -> str:
        if not self._smtp.client_certificates:
            return ""
        shown = f" but for {_ascii(next(iter(certified)))}" if certified else ""
        return f" and shows no certificate{shown} that is let in"

    def mistyped(self, path: str, *, relay: bool) -> Recipient | None:
        """A fax without a number, which ends with a reply that says so; None when the path is to be refused.

        `relay`: the client is let in without a login, by its network or certificate. It would turn our refusal into a
        bounce of its own, in its own words.
        """
        if self._numbers.mistyped == "refuse" or not relay or not self.recipient(path).mistyped:
            return None
        return Recipient(path, "")

    def is_reply_sender(self, path: str) -> bool:
        """Whether this is the address that our own replies come from."""
        return path.casefold() in self._own and bool(self._domain(path))

    def line(self, reverse_path: str, number: str) -> str:
        """The name of the [[line]] for this sender and these ten digits; "" is the line of [provider]."""
        for name, patterns, destinations in self._lines:
            if patterns.fitting(senders.behind(reverse_path)) and destinations.fitting(f"+1{number}"):
                return name
        return ""

    def number(self, number: str) -> Ruling:
        """May these ten digits be dialled?"""
        for prefix in self._denied:
            if number.startswith(prefix):
                return self._barred(number, f'is barred by [numbers] deny "{prefix}"', f'[numbers] deny "{prefix}"')
        place = numbers.destination(number)
        for prefix in self._prefixes:
            if number.startswith(prefix) and len(prefix) >= place.digits:
                return Ruling(f'[numbers] allow "+1{prefix}"')
        if place.kind == "unassigned":
            return self._unassigned(number, place.name)
        if place.kind in self._numbers.allow:
            return Ruling(f'[numbers] allow "{place.kind}": {place.name}')
        # Nobody should open 911 or 411: that is a slip of the fingers.
        way = "correct the number" if place.kind == "service" else ""
        return self._barred(number, f"is {place.name}", f"[numbers] allow, none fits: {place.name}", way)

    @property
    def has_budgets(self) -> bool:
        """Whether any of [limits] is set: else nobody need count."""
        return bool(self._budgets)

    def budget(self, sender_usage: Usage, total_usage: Usage, number_today: int) -> Ruling:
        """Is one more fax within [limits]? What this mail has already asked for is to be counted in."""
        # What stays forbidden for today goes before what may be tried again in an hour.
        used = {"sender": sender_usage, "total": total_usage, "number": Usage(faxes_day=number_today)}
        for key, limit, whose, span in self._budgets:
            count: int = getattr(used[whose], span)
            if count >= limit:
                text = f"{count} {span.split('_')[0]} {SCOPES[whose]}, the limit is {limit} ([limits] {key})"
                # A matter of time, not of the address: the relay keeps the mail, and nobody notes the number as bad.
                if span.endswith("_day"):
                    return Ruling(f"[limits] {key}", f"452 4.7.1 Budget of 24 hours used up: {text}; {self._ask}")
                return Ruling(f"[limits] {key}", f"452 4.7.1 Budget of an hour used up: {text}; try again later")
        return Ruling("[limits], none reached")

    # -- how they are found

    def _trusting(self, peer: str) -> str:
        """The trusted network that this client is in, "" for none."""
        try:
            network = networks.holding(peer, self._networks)
        except ValueError:
            return ""
        return str(network) if network else ""

    def _sender(self, reverse_path: str, user: User | None) -> Ruling:
        """May this reverse-path fax, and can it get a reply?"""
        if not reverse_path:
            return Ruling(
                "the null reverse-path", "550 5.7.1 Mail from <> is not faxed: nobody could be told how it went"
            )
        seen = shown(reverse_path)
        # RFC 5321 section 6.3: a reply that comes back as a fax would go round for ever.
        who = senders.behind(reverse_path)
        if {reverse_path.casefold(), who} & self._own or self._domain(reverse_path) or self._domain(who):
            return Ruling("mail from our own addresses", f"554 5.4.6 {seen} is an address of this fax service: a loop")
        try:
            types.mailbox(reverse_path.replace("_", "x"))  # in a domain, against the rules, it is in use all the same
        except ValueError:
            return Ruling(
                "a reply must reach the sender", f"553 5.1.7 {seen} is no address that a reply could be sent to"
            )
        own = None
        if user and user.patterns and not (own := _fitting(Patterns(user.patterns), reverse_path)):
            return Ruling(
                f"[smtp] users_file, login {shown(user.name)}",
                f"550 5.7.1 {seen} is not a sender that login {shown(user.name)} may use; {self._ask}",
            )
        if fitting := _fitting(self._senders, reverse_path):
            bound = f', login {shown(user.name)} "{own}"' if user and own else ""
            return Ruling(f'[smtp] allowed_senders "{fitting}"{bound}')
        return Ruling(
            "[smtp] allowed_senders, none fits",
            f"550 5.7.1 {seen} may not send faxes here: it fits none of [smtp] allowed_senders; {self._ask}",
        )

    def _recipient(self, path: str) -> Ruling:
        """The fax that this forward-path asks for, or why there is none."""
        local_part, _, _ = path.rpartition("@")
        domain = self._domain(path)
        if not domain:
            home = self._smtp.domains[0]
            text = f"550 5.7.1 Relaying denied: {shown(path)} is not here; faxes go to <number>@{home}"
            return Ruling("[smtp] domains, none fits", text)
        try:
            found = address.parse(local_part, self._numbers.country)
        except AddressError as error:
            return Ruling("the form of the address", f"{error}", mistyped=isinstance(error, MistypedError))
        cover = found.cover or domain not in self._smtp.domains
        if cover and self._cover == "never":
            text = f"550 5.1.3 No cover pages are made here: write to {found.number}@{domain.removeprefix(COVER)}"
            return Ruling('[cover] enabled "never"', text)
        ruling = self.number(found.number)
        if ruling.refusal:
            return ruling
        return replace(ruling, recipient=Recipient(path, found.number, cover=cover or self._cover == "always"))

    def _domain(self, path: str) -> str:
        """The domain, if it is exactly one of ours or the cover. domain of one; "" for any other."""
        domain = path.rpartition("@")[2].lower()
        return domain if domain.removeprefix(COVER) in self._smtp.domains or domain in self._smtp.domains else ""

    def _unassigned(self, number: str, name: str) -> Ruling:
        if self._numbers.unassigned == "allow":
            return Ruling(f'[numbers] unassigned "allow": {name}')
        way = f'[numbers] allow "+1{number[:3]}" opens it, unassigned "allow" every new one'
        return self._barred(number, f"is {name}: {way}", f'[numbers] unassigned "refuse": {name}')

    def _barred(self, number: str, why: str, rule: str, way: str = "") -> Ruling:
        text = (
            f"550 5.7.1 Destination not permitted: {address.pretty(number)} {why}; {way or f'{self._ask} to open it'}"
        )
        return Ruling(rule, text)


def in_words(refusal: str) -> str:
    """An SMTP reply without its codes (RFC 5321 section 4.2, RFC 3463): for people who speak no SMTP with us."""
    return _CODES.sub("", refusal)


def _budgets(limits: Limits) -> Iterator[tuple[str, int, str, str]]:
    """Each limit that is set: its key, its value, whose it is, and what of a Usage it bounds. Days first."""
    for span in ("day", "hour"):
        for whose in SCOPES:
            for what in ("faxes", "pages"):
                key = f"{whose}_{what}_per_{span}"
                if limit := getattr(limits, key, 0):
                    yield key, limit, whose, f"{what}_{span}"


def _fitting(patterns: Patterns, reverse_path: str) -> str | None:
    """The pattern that fits the sender behind the path. Of a forwarded mail another must fit the path itself."""
    who = senders.behind(reverse_path)
    if who.rpartition("@")[2] != reverse_path.rpartition("@")[2].casefold() and not patterns.fitting(reverse_path):
        return None
    return patterns.fitting(who)


def _ascii(text: str) -> str:
    return shown(text).strip('"')
