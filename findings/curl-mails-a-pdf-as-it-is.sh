#!/bin/bash
# curl sends a mail with attachments by the same -F that fills web forms. Over HTTP bytes need no coding, and so curl 7.88.1
# (Debian 12) mails them, too: a PDF goes as it is, under "Content-Transfer-Encoding: 8bit", with NULs, bare line feeds and
# lines of any length, which RFC 2045 section 2.8 rules out for 8bit; a mail server that sets line ends right damages it. Only
# ";encoder=base64" behind the name asks for more. And --crlf, the switch that promises right line ends, makes it
# worse: the lines of curl's own that end in CR LF already, header and boundaries, get a second CR (CR CR LF), so that
# for a strict reader no line of the header ends where it should. Both run through with exit status 0.
#
# Debian 12: its curl has to be there. The mail server is a few lines of Python.
set -eu
command -v curl >/dev/null || { echo "needs curl"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
curl --version | head -1
python3 - <<'PYTHON'
import socket
import subprocess
import threading
from pathlib import Path

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"
Path("order.pdf").write_bytes(PDF)


def taken(server):
    """The mail, as its bytes came over the wire."""
    client, _ = server.accept()
    with client, client.makefile("rwb") as wire:
        wire.write(b"220 mail.office.example\r\n")
        wire.flush()
        mail = b""
        while line := wire.readline():
            word = line[:4].upper()
            wire.write(b"354 go on\r\n" if word == b"DATA" else b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")
            wire.flush()
            if word == b"DATA":
                while not mail.endswith(b"\r\n.\r\n") and (line := wire.readline()):
                    mail += line
                wire.write(b"250 taken\r\n")
                wire.flush()
            if word == b"QUIT":
                break
        return mail


def mailed(*how, encoder=""):
    with socket.create_server(("127.0.0.1", 0)) as server:
        mails = []
        thread = threading.Thread(target=lambda: mails.append(taken(server)))
        thread.start()
        where = [f"smtp://127.0.0.1:{server.getsockname()[1]}", "--mail-from", "anna@office.example"]
        where += ["--mail-rcpt", "shop@office.example", "-H", "Subject: Order"]
        form = ["-F", "=Please see the attachment.;type=text/plain", "-F", f"file=@order.pdf;type=application/pdf{encoder}"]
        subprocess.run(["curl", "--silent", "--noproxy", "*", *where, *how, *form], check=True, timeout=60)
        thread.join(60)
    return mails[0]


plain, coded, crlf = mailed(), mailed(encoder=";encoder=base64"), mailed("--crlf", encoder=";encoder=base64")
for name, mail in {"-F": plain, "-F with encoder=base64": coded, "--crlf -F with encoder=base64": crlf}.items():
    part = mail.partition(b"application/pdf")[2]
    coding = part.partition(b"Content-Transfer-Encoding: ")[2].split(b"\r")[0].decode()
    ends, bare = mail.split(b"Subject: Order")[1].split(b"\n")[0] + b"\n", mail.count(b"\n") - mail.count(b"\r\n")
    print(f"{name}: the PDF in {coding}, as it is: {PDF in mail}, bare line feeds: {bare}, NULs: {mail.count(0)}, ", end="")
    print(f"the header's lines end in {ends!r}")
assert PDF in plain and b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: 8bit\r\n" in plain, "this changed"
assert PDF not in coded and b"\r\r\n" not in coded and 0 not in coded, "this changed"
assert b"Subject: Order\r\r\n" in crlf and b"Content-Type: application/pdf\r\r\n" in crlf, "this changed"
PYTHON
