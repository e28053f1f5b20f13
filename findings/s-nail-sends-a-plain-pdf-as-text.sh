#!/bin/bash
# s-nail 14.9.24 (Debian 12's mailx for people who want attachments) goes by a file's bytes, not by its kind: a PDF of nothing
# but ASCII, which small programs and form makers write, is attached as application/pdf in 7bit, as a text would be. On
# its way by SMTP each line end becomes CR LF; what arrives is longer than what was sent, its table of objects (xref)
# points beside them, and a hash or a signature no longer fits. A reader that repairs shows the page, qpdf complains.
# One byte above 127 in the file, such as the comment that most writers put in line two, and it goes in base64, unharmed.
#
# Debian 12: qpdf has to be there. s-nail is unpacked in a temporary folder; the mail server is a few lines of Python.
set -eu
command -v qpdf >/dev/null || { echo "needs qpdf"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download s-nail=14.9.24-2 libidn12 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
python3 - "$folder/root" <<'PYTHON'
import email
import email.policy
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

root = Path(sys.argv[1])
libraries = ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu*"))


def pdf(comment):
    """A page without anything on it, with the offset of each object in its table."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
    objects.append("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>")
    out, table = b"%PDF-1.4\n" + comment, "xref\n0 4\n0000000000 65535 f \n"
    for number, words in enumerate(objects, start=1):
        table += f"{len(out):010} 00000 n \n"
        out += f"{number} 0 obj\n{words}\nendobj\n".encode()
    return out + f"{table}trailer << /Size 4 /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n".encode()


def taken(server):
    """One mail, as it came over the wire, its dots undone."""
    client, _ = server.accept()
    with client, client.makefile("rwb") as wire:
        wire.write(b"220 mail.office.example\r\n")
        wire.flush()
        lines = []
        while line := wire.readline():
            word = line[:4].upper()
            wire.write(b"354 go on\r\n" if word == b"DATA" else b"221 bye\r\n" if word == b"QUIT" else b"250 yes\r\n")
            wire.flush()
            if word == b"DATA":
                while (line := wire.readline()) not in (b".\r\n", b""):
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                wire.write(b"250 taken\r\n")
                wire.flush()
            if word == b"QUIT":
                break
        return b"".join(lines)


def sent(data):
    Path("order.pdf").write_bytes(data)
    with socket.create_server(("127.0.0.1", 0)) as server:
        mails = []
        thread = threading.Thread(target=lambda: mails.append(taken(server)))
        thread.start()
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        settings = ["-S", f"mta={url}", "-S", "smtp-auth=none", "-S", "from=anna@office.example", "-S", "sendwait"]
        command = [root / "usr/bin/s-nail", "-:/", *settings, "-s", "Order", "-a", "order.pdf", "shop@office.example"]
        subprocess.run(
            command, input="Please see the attachment.\n", text=True, check=True, timeout=60, capture_output=True,
            env={**os.environ, "LD_LIBRARY_PATH": libraries, "HOME": os.getcwd(), "LC_ALL": "C.UTF-8"},
        )
        thread.join(60)
    mail = email.message_from_bytes(mails[0], policy=email.policy.default)
    [part] = (part for part in mail.walk() if part.get_content_type() == "application/pdf")
    arrived = part.get_payload(decode=True)
    Path("arrived.pdf").write_bytes(arrived)
    check = subprocess.run(["qpdf", "--check", "arrived.pdf"], capture_output=True, text=True, check=False)
    return part.get("Content-Transfer-Encoding", "none, which is 7bit"), arrived, check


for command in ([root / "usr/bin/s-nail", "-V"], ["qpdf", "--version"]):
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    print(subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout.split("\n")[0])
for name, comment in (("ASCII alone", b""), ("with a byte above 127", b"%\xe2\xe3\n")):
    data = pdf(comment)
    encoding, arrived, check = sent(data)
    complaint = next((line for line in check.stderr.splitlines() if line.startswith("WARNING")), "nothing to complain about")
    print(f"{name}: {len(data)} bytes sent, Content-Transfer-Encoding {encoding}, {len(arrived)} bytes arrived; qpdf: {complaint}")
    if comment:
        assert arrived == data and encoding == "base64" and check.returncode == 0, "this changed"
    else:
        assert b"\r\n" in arrived and arrived.replace(b"\r\n", b"\n").rstrip() == data.rstrip(), "this changed"
        assert encoding != "base64" and check.returncode == 3, "this changed"
PYTHON
