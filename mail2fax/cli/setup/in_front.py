"""The lines for the mail server in front: mail for the fax domain goes to mail2fax. docs/relays.md has the rest."""

import socket
from urllib.parse import urlsplit

from mail2fax.cli.setup.answers import PORT, Answers, addresses

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
  route_list = * {host}::{port} byname
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
    return text.format(domain=answers.domain, host=_here(urlsplit(answers.relay).hostname or ""), port=PORT)


def _here(relay: str) -> str:
    """The address of this machine, as the mail server sees it."""
    first = addresses(relay)[0]
    family = socket.AF_INET if first.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # a datagram's socket connects without a packet
        try:
            probe.connect((str(first), 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
