"""Who a reverse-path is, behind what mail servers write into it (pure).

A server that signs its return paths (BATV) or hands a mail on (SRS) or watches for bounces (VERP) gives the same person
another reverse-path each day or each mail. The reply goes to the path as it came, or it would not arrive; budgets,
lines, allowed senders, holds and the key by which a mail is known again go by the sender behind it.
"""

import re
from functools import lru_cache

# draft-levine-smtp-batv section 3: prvs=TAG=local; Exim of old writes prvs=local/TAG. A tag is a key number, a day
# and six or more digits of a hash.
_BATV = re.compile(r"prvs=(?:[0-9][0-9a-f]{5,}=(?P<new>.+)|(?P<old>.+)/[0-9][0-9a-f]{5,})", re.IGNORECASE)
# https://www.libsrs2.net/srs/srs.pdf: SRS0=hash=time=domain=local, and SRS1=hash=first-relay==what SRS0 had behind it;
# the first separator may be "+" or "-".
_SRS0 = re.compile(r"SRS0[=+-][^=]+=[^=]+=(?P<domain>[^=]+)=(?P<local>.+)", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-][^=]+=[^=]+=(?P<rest>[=+-].+)", re.IGNORECASE)
# VERP, as Postfix and ezmlm write it: local+recipient=its.domain, where the recipient is a number of ours.
_VERP = re.compile(r"(?P<local>[^+]+)\+[^=@]*[0-9][^=@]*=[a-z0-9.-]+\.[a-z0-9-]+", re.IGNORECASE)


@lru_cache(maxsize=1024)
def behind(reverse_path: str) -> str:
    """The sender's own address, in small letters; "" for the null path. What is no tag stays as it is."""
    local, at, domain = reverse_path.rpartition("@")
    if not at:
        return reverse_path.casefold()
    if tagged := _BATV.fullmatch(local):
        return behind(f"{tagged['new'] or tagged['old']}@{domain}")
    if again := _SRS1.fullmatch(local):
        local = "SRS0" + again["rest"]
    if forwarded := _SRS0.fullmatch(local):
        return f"{forwarded['local']}@{forwarded['domain']}".casefold()
    if watched := _VERP.fullmatch(local):
        local = watched["local"]
    return f"{local}@{domain}".casefold()
