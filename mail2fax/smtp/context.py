"""What all sessions of one listener share."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from mail2fax.config import Settings
from mail2fax.rules import networks
from mail2fax.rules.policy import Policy
from mail2fax.rules.required_header import RequiredHeader
from mail2fax.smtp import tls
from mail2fax.smtp.limits import Capacity, Rates
from mail2fax.smtp.reply_commands import ReplyCommands
from mail2fax.smtp.users import Users
from mail2fax.spool import Spool


class OpenSession(Protocol):
    """A session, as the listener sees it."""

    def hang_up(self) -> None:
        """Say 421 as soon as nothing is being promised, and close."""

    def abort(self) -> None:
        """Close at once."""


@dataclass(slots=True)
class Context:
    """Made once a listener; users and certificate may be replaced while it stands."""

    settings: Settings
    spool: Spool
    policy: Policy
    users: Users
    rates: Rates
    capacity: Capacity
    required_header: RequiredHeader
    balancers: networks.Networks
    certificate: tls.Contexts | None
    answering: ReplyCommands | None
    closing: bool = False
    sessions: dict[OpenSession, asyncio.Task[None]] = field(default_factory=dict)
    pauses: set[asyncio.Task[None]] = field(default_factory=set)  # sessions that wait for the disk


def open_context(settings: Settings, spool: Spool, policy: Policy, answering: ReplyCommands | None) -> Context:
    """Read the users and the certificate. Raises ConfigError and OSError."""
    smtp = settings.smtp
    return Context(
        settings=settings,
        spool=spool,
        policy=policy,
        users=Users(smtp.users_file),
        rates=Rates(smtp),
        capacity=Capacity(smtp, spool),
        required_header=RequiredHeader(smtp),
        balancers=networks.parsed(smtp.proxy_networks),
        certificate=tls.open_contexts(smtp),
        answering=answering,
    )
