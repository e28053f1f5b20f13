#!/bin/bash
# What Exim 4.96 (Debian 12) writes into a delivery report (RFC 3464), beside what the server it spoke to has said:
#   552 5.2.2, mailbox full     Status: 5.0.0. The code is a constant: whoever sorts bounces by it cannot tell a full
#                               mailbox from an unknown one, only Diagnostic-Code can
#   451 4.3.5 until it gave up  Action: failed, Status: 5.0.0, beside a Diagnostic-Code that begins with 451
#   250, without DSN            Action: delivered, where RFC 3464 section 2.3.3 has "relayed" for a server that makes no
#                               such reports (the text for people, above it, does say so). And Diagnostic-Code: smtp; 250 Ok, whatever
#                               words that server used: the number of a fax or of a queue in them is lost
# A gateway whose 250 means "on its way to a machine" is reported as having delivered.
#
# Debian 12, as root (Exim insists on it). Nothing is installed: the packages are unpacked in a temporary folder, and Exim
# sees its user in a mount namespace of its own. The server it speaks to is a few lines of Python.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download exim4-daemon-light=4.96-15+deb12u10 \
    libgnutls-dane0 libidn12 libnsl2 libunbound8 libevent-2.1-7 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
cat >far.py <<'PYTHON'
"""A server without DSN: one mailbox is full, one cannot take anything now. What it takes goes into files."""

import itertools
import socketserver
import sys

numbers = itertools.count()
ANSWERS = {"full@": b"552 5.2.2 The mailbox is full\r\n", "later@": b"451 4.3.5 Come again\r\n"}


class Far(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 far.example\r\n")
        good = False
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"EHLO":
                self.wfile.write(b"250-far.example\r\n250 ENHANCEDSTATUSCODES\r\n")
            elif word == b"RCPT" and (said := next((ANSWERS[who] for who in ANSWERS if who.encode() in line), None)):
                self.wfile.write(said)
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n" if good else b"503 5.5.1 nobody to take it\r\n")
                if good:
                    with open(f"mail-{next(numbers)}", "wb") as file:
                        while (line := self.rfile.readline()) not in (b".\r\n", b""):
                            file.write(line)
                    self.wfile.write(b"250 2.6.0 Taken as fax 4711\r\n")
            else:
                good = word == b"RCPT"
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 2.0.0 yes\r\n")


with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Far) as server:
    print(server.server_address[1], file=open(sys.argv[1], "w"), flush=True)
    server.serve_forever()
PYTHON
python3 far.py "$folder/port" &
far=$!
trap 'kill $far; rm -rf "$folder"' EXIT
while [ ! -s port ]; do sleep 0.1; done
mkdir spool log
cat >exim.conf <<EOF
primary_hostname = relay.office.example
exim_path = $folder/root/usr/sbin/exim4
spool_directory = $folder/spool
log_file_path = $folder/log/%slog
keep_environment = LD_LIBRARY_PATH
local_interfaces = 127.0.0.1
host_lookup =
tls_advertise_hosts =
dsn_advertise_hosts = : *
acl_smtp_rcpt = accept
begin routers
far:
  driver = manualroute
  domains = *
  transport = far
  route_list = * 127.0.0.1::$(cat port) byname
  self = send
begin transports
far:
  driver = smtp
  allow_localhost
begin retry
* * F,1s,1s
EOF
for kind in passwd group; do cp "/etc/$kind" "$kind"; done
echo "Debian-exim:x:64321:64321::/var/empty:/bin/false" >>passwd
echo "Debian-exim:x:64321:" >>group
chown -R 64321:64321 spool log
cat >run.sh <<'SHELL'
mount --bind passwd /etc/passwd
mount --bind group /etc/group
exim="root/usr/sbin/exim4 -C $PWD/exim.conf"
$exim -bV | head -1
for who in full later fax; do
    printf '%s\r\n' 'EHLO me.office.example' 'MAIL FROM:<anna@office.example> RET=HDRS' \
        "RCPT TO:<$who@far.example> NOTIFY=SUCCESS,FAILURE" DATA \
        'From: Anna <anna@office.example>' "Subject: $who" '' 'Hello.' . QUIT | $exim -odi -bs >/dev/null
done
sleep 3
$exim -qff
SHELL
libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' -path '*/lib/*' | paste -sd:)
LD_LIBRARY_PATH=$libraries unshare --mount --propagation private sh -e run.sh 2>exim.err
for _ in $(seq 100); do [ "$(grep -l Reporting-MTA mail-* | wc -l)" = 3 ] && break; sleep 0.1; done
python3 - <<'PYTHON'
import email
import email.policy
from pathlib import Path

found = {}
for path in Path().glob("mail-*"):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    for part in mail.walk():
        if part.get_content_type() == "message/delivery-status":
            about = part.get_payload()[1]
            said = about["Diagnostic-Code"]
            found[about["Final-Recipient"].partition(";")[2].strip()] = about["Action"], about["Status"], said
for recipient, (action, status, said) in sorted(found.items()):
    print(f"{recipient}: Action: {action}, Status: {status}, Diagnostic-Code: {said}")
assert found["full@far.example"] == ("failed", "5.0.0", "smtp; 552 5.2.2 The mailbox is full"), "this changed"
assert found["later@far.example"][:2] == ("failed", "5.0.0"), "this changed"
assert found["later@far.example"][2].startswith("smtp; 451 4.3.5 Come again"), "this changed"
assert found["fax@far.example"] == ("delivered", "2.0.0", "smtp; 250 Ok"), "this changed"
PYTHON
