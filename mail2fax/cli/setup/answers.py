"""What `mail2fax init` was told, and the settings file that says it."""

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mail2fax.cli.addresses import Address, addresses
from mail2fax.model import Refused

PORT = 2525
_PAGE, _DESK = "127.0.0.1:8080", "127.0.0.1:8081"
_OPENING = """\
# Made by `mail2fax init`. docs/configuration.md explains every key there is; `mail2fax check` tries what stands here,
# `systemctl restart mail2fax` takes it over.
"""


@dataclass(frozen=True, slots=True)
class Answers:
    """One installation. Its repr shows no secret."""

    domain: str
    relay: str  # URL of the mail server
    clients: list[Address]  # its addresses, IPv4 first: mail comes from there
    senders: tuple[str, ...]
    reply_from: str
    admin: str
    provider: str
    spool: Path
    url: str = ""
    account: str = ""
    from_number: str = ""
    options: dict[str, str] = field(default_factory=dict)
    time_zone: str = ""
    user: str = ""  # who uses the operator's page
    token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def files(self) -> dict[str, str]:
        """The files to write, by name."""
        return {
            "mail2fax.toml": _OPENING + toml(self.settings),
            "token": f"{self.token}\n" if self.token else "",
            "users": "",
        }

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The sections of the settings file; what is left to its default does not stand there."""
        beside = all(client.is_loopback for client in self.clients)
        sections: dict[str, dict[str, Any]] = {
            "smtp": {
                "listen": _listen(self.clients),
                "hostname": f"gateway.{self.domain}",
                "domains": [self.domain],
                "trusted_networks": ["127.0.0.0/8", "::1/128", *([] if beside else [str(one) for one in self.clients])],
                "allowed_senders": list(self.senders),
                "users_file": "users" if self.user else "",
                "postmaster": self.admin,
            },
            "limits": {"sender_faxes_per_day": 200, "total_pages_per_day": 5000},
            "provider": {
                "name": self.provider,
                "url": self.url,
                "account": self.account,
                "from_number": self.from_number,
                "token_file": "token" if self.token else "",
                "options": self.options,
            },
            "spool": {"url": f"sqlite:///{self.spool}"},
            "reply": {
                "relay": self.relay,
                "sender": self.reply_from,
                "admin": self.admin,
                "time_zone": self.time_zone,
            },
            "web": {"listen": _PAGE, "operate": _DESK if self.user else ""},
        }
        return {name: {key: value for key, value in keys.items() if value} for name, keys in sections.items()}


def _listen(clients: list[Address]) -> list[str]:
    if all(client.is_loopback for client in clients):
        return [f"127.0.0.1:{PORT}"]
    six = [f"[::]:{PORT}"] if socket.has_dualstack_ipv6() and clients[-1].version == 6 else []
    return [f"0.0.0.0:{PORT}", *six]


def toml(sections: dict[str, dict[str, Any]]) -> str:
    """The sections as a settings file."""
    lines = []
    for name, keys in sections.items():
        lines.append(f"\n[{name}]")
        lines += [f"{key} = {_written(value)}" for key, value in keys.items()]
    return "\n".join([*lines, ""])


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_written(one)}' for key, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)  # of strings, numbers and lists TOML, too


def clients(relay: str) -> list[Address]:
    """The addresses of the mail server at this URL, IPv4 first. Raises Refused when its name is not known."""
    host = urlsplit(relay).hostname or ""
    try:
        return addresses(host)
    except OSError:
        raise Refused(f"this machine knows no host {host!r}; write the mail server's address") from None


def relay_url(text: str) -> str:
    """A mail server as people write it, as the URL the settings want. Raises Refused for a password in it."""
    url = text if "://" in text else f"smtp://{text}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("write HOST, HOST:PORT or smtp+starttls://HOST:587") from None
    if parts.password:
        raise Refused("no password here, others would see it; add relay_password_file to [reply] later")
    return url if port or parts.scheme != "smtp" else f"{url}:25"


def home(domain: str) -> str:
    """The office's own domain, of that for faxes: office.example of fax.office.example."""
    rest = domain.partition(".")[2]
    return rest if "." in rest else domain


def machine_zone(localtime: Path = Path("/etc/localtime")) -> str:
    """The zone that this machine's clock shows; "" for UTC, as servers have it: people read the times."""
    zone = str(localtime.resolve()).partition("zoneinfo/")[2]
    return zone if "/" in zone and not zone.startswith("Etc/") else ""
