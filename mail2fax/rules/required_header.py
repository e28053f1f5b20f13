"""The mark that a mail must carry when its client is shared with strangers, as a cloud's mail servers are (pure).

Promise: of a mail from such a client nothing is taken unless each header of that name has exactly the value.
"""

import hmac
import re

from mail2fax.config import Smtp
from mail2fax.rules import networks

_FOLD = re.compile(rb"\r\n[ \t]+")


class RequiredHeader:
    """[smtp] required_header, and of whom it is asked."""

    def __init__(self, settings: Smtp) -> None:
        self._value = settings.required_header_value.get_secret_value().encode()
        self._networks = networks.parsed(settings.required_header_networks)
        name = re.escape(settings.required_header.encode())
        self._found = re.compile(rb"^" + name + rb"[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE) if name else None

    def is_missing(self, client: str, head: bytes) -> bool:
        """Whether this client's mail, with this header, lacks the mark."""
        if self._found is None or not networks.means(self._networks, client):
            return False
        values = [value.strip() for value in self._found.findall(_FOLD.sub(b" ", head))]
        # All of them: a stranger may have written one himself before the cloud added its own.
        return not values or not all(hmac.compare_digest(value, self._value) for value in values)
