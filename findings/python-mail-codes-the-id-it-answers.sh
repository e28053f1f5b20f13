#!/bin/bash
# An answer names the mail that it answers by that mail's Message-ID, in In-Reply-To and References. Exchange Online's ids are some
# eighty characters long. Python's email package (3.8 to 3.13) leaves such an id alone in Message-ID, but has no reader of its
# own for the two other fields: they are text to it, and a word of text that does not fit a line is turned into encoded
# words, =?utf-8?q?=3C…?=, in the middle of the id. RFC 2047 section 5 forbids that there: it is no id any more, and the
# answer stands outside of its thread. One that is a few characters shorter is right, so it works in every test.
# The older policy, email.policy.compat32, writes both as they were given.
set -eu
python3 - <<'PYTHON'
import email.policy
import sys
from email.message import EmailMessage, Message

SHORT = "<20261128123754.1234@office.example>"
LONG = "<YT2PR01MB9543A1B2C3D4E5F60718293A4B5C6D7@YT2PR01MB9543.CANPRD01.PROD.OUTLOOK.COM>"


def written(message, name, value):
    message[name] = value
    return message.as_bytes().decode().partition("\n\n")[0]


print("Python", sys.version.split()[0], "an id of", len(LONG), "characters")
found = {}
for name in ("Message-ID", "In-Reply-To", "References"):
    for identity in (SHORT, LONG):
        header = written(EmailMessage(policy=email.policy.SMTP.clone(linesep="\n")), name, identity)
        found[name, identity] = identity in header
        print(f"{name} of {len(identity)} characters: {header!r}")
    assert LONG in written(Message(), name, LONG), "this changed"
assert all(found[name, SHORT] for name in ("Message-ID", "In-Reply-To", "References")), "this changed"
assert found["Message-ID", LONG] and not found["In-Reply-To", LONG] and not found["References", LONG], "this changed"
PYTHON
