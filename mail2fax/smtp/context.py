"""What all sessions of one listener share."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Protocol

from mail2fax.config.settings import Settings
from mail2fax.rules.policy import Policy
from mail2fax.smtp import proxy_protocol, tls
from mail2fax.smtp.capacity import Room
from mail2fax.smtp.rates import Door
from mail2fax.smtp.reply_commands import Answering
from mail2fax.smtp.users import Users
from mail2fax.spool.spool import Spool


class Guest(Protocol):
    """A session, as the listener sees it."""

    def hang_up(self) -> None:
        """Say 421 as soon as nothing is being promised, and close."""

    def abort(self) -> None:
        """Close at once."""


@dataclass(slots=True)
class Lobby:
    """Made once a listener; users and certificate may be replaced while it stands."""

    settings: Settings
    spool: Spool
    policy: Policy
    users: Users
    door: Door
    room: Room
    balancers: tuple[proxy_protocol.Network, ...]
    certificate: ssl.SSLContext | None
    answering: Answering | None
    has_budgets: bool  # whether any of [limits] is set: else nobody need count
    closing: bool = False
    guests: dict[Guest, asyncio.Task[None]] = field(default_factory=dict)
    pauses: set[asyncio.Task[None]] = field(default_factory=set)  # sessions that wait for the disk


def open_lobby(settings: Settings, spool: Spool, policy: Policy, answering: Answering | None) -> Lobby:
    """Read the users and the certificate. Raises ConfigError and OSError."""
    smtp = settings.smtp
    return Lobby(
        settings=settings,
        spool=spool,
        policy=policy,
        users=Users(smtp.users_file),
        door=Door(smtp),
        room=Room(smtp, spool),
        balancers=proxy_protocol.networks(smtp),
        certificate=tls.open_context(smtp),
        answering=answering,
        has_budgets=any(dict(settings.limits).values()),
    )
