#!/bin/bash
# A bounce is told from a letter by its form: multipart/report with report-type=delivery-status (RFC 3464 section 2), and an
# automatic mail by Auto-Submitted (RFC 3834). OpenSMTPD 6.8 (Debian 12) writes a delivery report in good order and puts it into a
# multipart/mixed, with neither of the two in its header; of its marks only the empty reverse-path is left, which is
# gone wherever a mail is stored, forwarded or fetched. The part that should hold the other server's answer has no
# Diagnostic-Code, and Status: 5.0.0, whatever was said (552 5.2.2): only the text for people has it. And the copy of the header
# (text/rfc822-headers) goes on with the whole body, a fax's pages and all.
#
# Debian 12, as root (smtpd insists on it). Nothing is installed: the packages are unpacked in a temporary folder, and smtpd
# sees its users and folders in a mount namespace of its own. The server it speaks to is a few lines of Python.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download opensmtpd=6.8.0p2-4+b4 libevent-2.1-7 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
mkdir -p var/spool/smtpd var/lib/opensmtpd/empty var/run
chmod 711 var var/lib var/lib/opensmtpd var/spool var/spool/smtpd
for kind in passwd group; do cp "/etc/$kind" "$kind"; done
for user in opensmtpd:64321 opensmtpq:64322; do
    echo "${user%:*}:x:${user#*:}:${user#*:}::/var/empty:/bin/false" >>passwd
    echo "${user%:*}:x:${user#*:}:" >>group
done
cat >run.py <<'PYTHON'
import email
import email.policy
import queue
import smtplib
import socketserver
import subprocess
import threading
import time
from pathlib import Path

folder = Path.cwd()
taken = queue.Queue()


class Far(socketserver.StreamRequestHandler):
    """A server with one full mailbox; what it takes is put into the queue."""

    def handle(self):
        self.wfile.write(b"220 far.example\r\n")
        sender = b""
        while line := self.rfile.readline():
            word = line[:4].upper()
            sender = line if word == b"MAIL" else sender
            if word == b"EHLO":
                self.wfile.write(b"250-far.example\r\n250 ENHANCEDSTATUSCODES\r\n")
            elif word == b"RCPT" and b"full@" in line:
                self.wfile.write(b"552 5.2.2 The mailbox is full\r\n")
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                mail = b""
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    mail += line
                self.wfile.write(b"250 2.6.0 Taken\r\n")
                taken.put((sender, mail))
            else:
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 2.0.0 yes\r\n")


def free_port():
    with socketserver.TCPServer(("127.0.0.1", 0), Far) as server:
        return server.server_address[1]


def connected(port):
    for _ in range(100):
        try:
            return smtplib.SMTP("127.0.0.1", port, timeout=10)
        except ConnectionError:
            time.sleep(0.1)
    raise SystemExit("smtpd does not answer")


port = free_port()
far = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Far)
threading.Thread(target=far.serve_forever, daemon=True).start()
settings = folder / "smtpd.conf"
settings.write_text(
    f"listen on 127.0.0.1 port {port} hostname relay.office.example\n"
    f'action "out" relay host smtp://127.0.0.1:{far.server_address[1]}\nmatch from any for any action "out"\n'
)
settings.chmod(0o600)
smtpd = subprocess.Popen([folder / "root/usr/sbin/smtpd", "-d", "-f", settings], stderr=subprocess.PIPE, text=True)
print(smtpd.stderr.readline().strip())
threading.Thread(target=smtpd.stderr.read, daemon=True).start()
try:
    with connected(port) as client:
        mail = b"From: Anna <anna@office.example>\r\nSubject: Order\r\n\r\nThis is the body.\r\n"
        client.sendmail("anna@office.example", ["full@far.example"], mail)
    sender, bounce = taken.get(timeout=60)
finally:
    smtpd.terminate()
    smtpd.wait(10)
read = email.message_from_bytes(bounce, policy=email.policy.default)
report = next(part for part in read.walk() if part.get_content_type() == "message/delivery-status")
about = report.get_payload()[1]
copy = next(part for part in read.walk() if part.get_content_type() == "text/rfc822-headers")
print(sender.decode().strip())
print(f"Content-Type: {read.get_content_type()}, Auto-Submitted: {read['Auto-Submitted']}")
print(f"Action: {about['Action']}, Status: {about['Status']}, Diagnostic-Code: {about['Diagnostic-Code']}")
print("the text for people has the answer:", b"552 5.2.2 The mailbox is full" in bounce)
print("text/rfc822-headers holds the body:", "This is the body." in copy.get_payload())
assert sender.startswith(b"MAIL FROM:<>") and read.get_content_type() == "multipart/mixed", "this changed"
assert read["Auto-Submitted"] is None and about["Diagnostic-Code"] is None and about["Status"] == "5.0.0", "this changed"
assert b"552 5.2.2 The mailbox is full" in bounce and "This is the body." in copy.get_payload(), "this changed"
PYTHON
libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' -path '*/lib/*' | paste -sd:)
# In a process namespace, too: when the script ends, so do all of smtpd's processes.
LD_LIBRARY_PATH=$libraries unshare --mount --pid --fork --kill-child --propagation private sh -ec '
    mount --bind passwd /etc/passwd; mount --bind group /etc/group; mount --bind var/spool /var/spool
    mount --bind var/lib /var/lib; mount --bind var/run /run; exec python3 run.py'
