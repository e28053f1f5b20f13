#!/bin/bash
# Apple Mail writes a letter with a PDF in it as two forms of one thing: multipart/alternative of a plain text, and of a
# multipart/mixed in which HTML and PDF take turns. Python's email package (3.8 to 3.13) has EmailMessage.iter_attachments() for the
# attachments of a mail; of such a mail it yields none, for it looks one floor deep and takes an alternative to have
# nothing but bodies. The same PDF is found in a mail that begins with multipart/mixed. Nothing is raised or said: a
# gateway built on it tells its sender that there was no document. walk() finds both.
set -eu
python3 - <<'PYTHON'
import email
import email.policy
import sys

def part(kind, content, *fields):
    return "\n".join([f"Content-Type: {kind}", *fields, "", content])


def multi(kind, *parts):
    edge = f"=={kind}=="
    return part(f'multipart/{kind}; boundary="{edge}"', "".join(f"--{edge}\n{each}\n" for each in parts) + f"--{edge}--\n")


def mail(content):
    head = "From: Anna <anna@office.example>\nTo: shop@office.example\nSubject: Order\nMIME-Version: 1.0\n"
    return email.message_from_string(head + content, policy=email.policy.default)


def order():
    how = ["Content-Disposition: inline; filename=order.pdf", "Content-Transfer-Encoding: base64"]
    return part("application/pdf; name=order.pdf", "JVBERi0xLjQKJSVFT0YK", *how)


print("Python", sys.version.split()[0])
html, plain = part("text/html", "<p>Our order:</p>"), part("text/plain", "Our order:")
shapes = {
    "mixed at the top": multi("mixed", multi("alternative", plain, html), order()),
    "alternative at the top": multi("alternative", plain, multi("mixed", html, order(), part("text/html", "<p>Anna</p>"))),
}
found = {}
for shape, content in shapes.items():
    read = mail(content)
    by_walk = [each.get_filename() for each in read.walk() if each.get_content_type() == "application/pdf"]
    found[shape] = [each.get_filename() for each in read.iter_attachments()]
    print(f"{shape}: iter_attachments() {found[shape]}, walk() {by_walk}")
    assert by_walk == ["order.pdf"]
assert found == {"mixed at the top": ["order.pdf"], "alternative at the top": []}, "this changed"
PYTHON
