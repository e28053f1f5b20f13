"""The lines for the mail server in front: mail for the fax domain goes to mail2fax. docs/relays.md has the rest."""

import socket
from urllib.parse import urlsplit

from mail2fax.cli.addresses import Address
from mail2fax.cli.setup.answers import PORT, Answers

_POSTFIX = """\
# Postfix: /etc/postfix/main.cf, then: postfix reload
# If there is a transport_maps already, add the value to it with a comma.
transport_maps = inline:{{ {{ {domain} = smtp:[{host}]:{port} }} }}
"""
_EXIM = """\
# Exim: a router before all others, and its transport; then: update-exim4.conf, and a reload
fax:
  driver = manualroute
  domains = {domain}
  transport = fax_smtp
  route_list = * {exim_host}::{port} byname
  self = send
  no_more

fax_smtp:
  driver = smtp
  allow_localhost
  max_rcpt = 100
"""
SERVERS = {"postfix": _POSTFIX, "exim": _EXIM}
OTHER = f"# {{domain}} goes to {{host}}, port {PORT}, by SMTP: docs/relays.md has the steps for each server.\n"


def lines(answers: Answers, server: str) -> str:
    """What to write into this mail server's settings."""
    text = SERVERS.get(server, OTHER)
    host = _here(answers.clients)
    return text.format(domain=answers.domain, host=host, exim_host=_in_exim(host), port=PORT)


def warning(answers: Answers) -> str:
    """What to think of before a mail server that is perhaps not the office's own is let in by address; "" otherwise."""
    parts = urlsplit(answers.relay)
    clients = [client for client in answers.clients if not client.is_loopback]
    anothers = any(client.is_global for client in clients) or parts.scheme != "smtp" or parts.username
    if not clients or not anothers:
        return ""
    return (
        f"Warning: whatever {parts.hostname} sends is let in by its address ({', '.join(map(str, clients))}).\n"
        "If others send by that server, too, as by a shared hoster's, each of them can fax at your cost:\n"
        'docs/relays.md, "Who proves what", says how to tell yours apart. If no mail comes from there, take it out of\n'
        "[smtp] trusted_networks."
    )


def _in_exim(host: str) -> str:
    """A colon parts the hosts of a route_list, so one within an address is doubled."""
    return f"[{host}]".replace(":", "::") if ":" in host else host


def _here(clients: list[Address]) -> str:
    """The address of this machine, as the mail server sees it: an IPv4 one, if it has one as well."""
    first = clients[0]
    if first.is_loopback:
        return "127.0.0.1"
    family = socket.AF_INET if first.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # a datagram's socket connects without a packet
        try:
            probe.connect((str(first), 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
