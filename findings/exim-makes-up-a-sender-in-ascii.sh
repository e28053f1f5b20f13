#!/bin/bash
# Exim 4.96 (Debian 12, smtputf8_advertise_hosts set) takes a mail from jörg@office.example and hands it to a server without
# SMTPUTF8. RFC 6531 section 3.2 wants it bounced, for there is no such sender in ASCII. Exim writes one: domain and local part are
# both turned by Punycode, MAIL FROM:<xn--jrg-sna@office.example>, a mailbox that nobody has (IDNA is for domains
# alone). The mail is taken; its bounce, its reply, or the notice that a fax failed goes to nobody. In the header the
# sender stands in UTF-8 all the same, (envelope-from <jörg@…>), before a server that never said it could read that.
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
mkdir spool log
for kind in passwd group; do cp "/etc/$kind" "$kind"; done
echo "Debian-exim:x:64321:64321::/var/empty:/bin/false" >>passwd
echo "Debian-exim:x:64321:" >>group
chown -R 64321:64321 spool log
cat >run.py <<'PYTHON'
import os
import socket
import subprocess
import threading
from pathlib import Path

folder = Path.cwd()
program = folder / "root/usr/sbin/exim4"
SETTINGS = f"""
primary_hostname = relay.office.example
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%%slog
keep_environment = LD_LIBRARY_PATH
local_interfaces = 127.0.0.1
host_lookup =
tls_advertise_hosts =
smtputf8_advertise_hosts = : *
acl_smtp_rcpt = accept
begin routers
far:
  driver = manualroute
  domains = *
  transport = far
  route_list = * 127.0.0.1::%s byname
  self = send
begin transports
far:
  driver = smtp
  allow_localhost
begin retry
* * F,1s,1s
"""


def heard(server, lines):
    """Take one mail as a server that knows no extension, and note what was said."""
    client, _ = server.accept()
    with client, client.makefile("rwb") as wire:
        answer = b"220 far.example\r\n"
        while True:
            wire.write(answer)
            wire.flush()
            line = wire.readline()
            lines.append(line)
            word = line[:4].upper()
            answer = b"250 far.example\r\n" if word != b"DATA" else b"354 go on\r\n"
            if word in {b"QUIT", b""}:
                return
            if word == b"DATA":
                wire.write(answer)
                wire.flush()
                answer = b"250 taken\r\n"
                while (line := wire.readline()) not in (b".\r\n", b""):
                    lines.append(line)


lines = []
with socket.create_server(("127.0.0.1", 0)) as server:
    (folder / "exim.conf").write_text(SETTINGS % server.getsockname()[1])
    thread = threading.Thread(target=heard, args=(server, lines), daemon=True)
    thread.start()
    exim = [program, "-C", folder / "exim.conf"]
    print(subprocess.run([*exim, "-bV"], capture_output=True, text=True, check=True).stdout.splitlines()[0])
    words = "EHLO me.office.example|MAIL FROM:<jörg@office.example> SMTPUTF8|RCPT TO:<fax@far.example>|DATA|"
    words += "Subject: Order||Hello.|.|QUIT|"
    dialogue = words.replace("|", "\r\n").encode()
    subprocess.run([*exim, "-odi", "-bs"], input=dialogue, capture_output=True, check=True, timeout=60)
    thread.join(30)
mail_from = next(line for line in lines if line.startswith(b"MAIL"))
received = next(line for line in lines if b"envelope-from" in line)
print("the server, which offers no extension, hears:", mail_from.decode().strip())
print("and reads in the header:", received.decode().strip())
assert mail_from.startswith(b"MAIL FROM:<xn--jrg-sna@office.example>"), "this changed"
assert "jörg@office.example".encode() in received, "this changed"
PYTHON
libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' -path '*/lib/*' | paste -sd:)
LD_LIBRARY_PATH=$libraries unshare --mount --propagation private sh -ec \
    'mount --bind passwd /etc/passwd; mount --bind group /etc/group; exec python3 run.py'
