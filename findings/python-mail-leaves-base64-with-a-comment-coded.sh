#!/bin/bash
# "Content-Transfer-Encoding: base64 (as usual)", or with a blank behind the word: RFC 2045 section 6.1 makes the field a structured
# one, so both are base64, and munpack, ripMIME and courier's reformime decode them. Python's email package (3.8 to 3.13 alike)
# reads the field so, its .cte is "base64"; but get_content() and get_payload(decode=True) compare the field's whole text, and
# hand over the letters of the base64 as if they were the bytes of the file, without an exception, a warning or a defect,
# under either policy. A PDF from such a program begins with "JVBERi0" instead of "%PDF-".
set -eu
python3 - <<'PYTHON'
import email
import email.policy
import sys

PDF = b"%PDF-1.4\n%%EOF\n"


def mail(encoding, policy):
    lines = ["From: Anna <anna@office.example>", "MIME-Version: 1.0", "Content-Type: application/pdf; name=order.pdf"]
    lines += [f"Content-Transfer-Encoding: {encoding}", "", "JVBERi0xLjQKJSVFT0YK", ""]
    return email.message_from_string("\n".join(lines), policy=policy)


print("Python", sys.version.split()[0])
for encoding in ("base64", "BASE64", "base64 ", "base64 (as usual)"):
    new, old = (mail(encoding, policy) for policy in (email.policy.default, email.policy.compat32))
    understood, content = new["Content-Transfer-Encoding"].cte, new.get_content()
    print(f"{encoding!r}: .cte {understood!r}, defects {new.defects}, get_content() {content[:12]!r}", end="")
    print(f", compat32 {old.get_payload(decode=True)[:12]!r}")
    assert understood == "base64" and not new.defects, "this changed"
    assert (content == PDF) == (old.get_payload(decode=True) == PDF) == (encoding.lower() == "base64"), "this changed"
PYTHON
