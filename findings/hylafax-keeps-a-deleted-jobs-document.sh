#!/bin/bash
# A job of HylaFAX that is over can be deleted by its owner, and its document stays: nobody may then delete that.
#
# hfaxd 6.0.7 (Debian 12): a document is stored (STOT), faxed by a job (JNEW, JPARM DOCUMENT, JSUBM), and the job is killed and
# deleted (JKILL, JDELE: 200). The file stands in docq all the same, readable by whoever reads the spool, until faxqclean runs,
# which Debian does once a week. Its owner's DELE is answered 550, Operation not permitted. A job that was never submitted is
# different: there JDELE takes the document along. So a client cannot keep confidential documents from lying about.
#
# Debian 12, as root (hfaxd insists on it). Nothing is installed: the packages are unpacked in a temporary folder.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
folder=$(mktemp -d)
pids=""
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || true; done; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download hylafax-server=3:6.0.7-5 hylafax-client=3:6.0.7-5 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
python3 - "$folder" <<'PYTHON'
import pwd
import shutil
import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
root, spool = folder / "root", folder / "spool"
for name in "archive client dev docq doneq info log pollq recvq sendq status tmp etc".split():
    (spool / name).mkdir(parents=True)
for name in ("bin", "config"):
    shutil.copytree(root / "var/spool/hylafax" / name, spool / name, symlinks=True)
for name in ("dialrules", "lutRS18.pcf", "typerules"):
    shutil.copy(root / "etc/hylafax" / name, spool / "etc")
(spool / "etc/config").write_text("LogFacility: daemon\nCountryCode: 1\nAreaCode: 416\nDialStringRules: etc/dialrules\n")
(spool / "etc/setup.cache").write_text("")  # faxq asks only whether it is there
(spool / "etc/hosts.hfaxd").write_text("127.0.0.1:21::\n")
(spool / "etc/hosts.hfaxd").chmod(0o600)
uucp = pwd.getpwnam("uucp")
for path in (spool, *spool.iterdir(), *(spool / "etc").iterdir()):
    os.chown(path, uucp.pw_uid, uucp.pw_gid)
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export LD_LIBRARY_PATH=$folder/root/usr/lib/hylafax:$folder/root/usr/lib/x86_64-linux-gnu
root/usr/sbin/faxq -D -q "$folder/spool" >/dev/null 2>&1 &
pids="$pids $!"
sleep 2
root/usr/sbin/hfaxd -d -q "$folder/spool" -l 127.0.0.1 -i "$port" >/dev/null 2>&1 &
pids="$pids $!"
sleep 2
python3 - "$port" "$folder/spool" <<'PYTHON'
import re
import socket
import sys
import time
from pathlib import Path

port, spool = int(sys.argv[1]), Path(sys.argv[2])
control = socket.create_connection(("127.0.0.1", port), 20)
lines = control.makefile("r", errors="replace")


def answer():
    while not re.match(r"\d{3} ", line := lines.readline()):
        assert line, "the connection was closed"
    return line.strip()


def say(command):
    control.sendall(f"{command}\r\n".encode())
    return answer()


def passive():
    numbers = re.search(r"((?:\d+,){5}\d+)", say("PASV"))[1].split(",")
    return socket.create_connection(("127.0.0.1", int(numbers[4]) * 256 + int(numbers[5])), 20)


def made(submit):
    """A job with a document of its own: its number, and what that is called in docq."""
    before = set(documents())
    with passive() as data:
        opened = say("STOT")
        data.sendall(b"%!PS-Adobe-3.0\n%%Pages: 1\n/Helvetica findfont 20 scalefont setfont 72 700 moveto (x) show showpage\n%%EOF\n")
    answer()
    stored = re.search(r"FILE: (\S+)", opened)[1]
    job = re.search(r"jobid: (\d+)", say("JNEW"))[1]
    for name, value in {
        "FROMUSER": "me", "NOTIFYADDR": "me@localhost", "NOTIFY": "none", "DIALSTRING": "4165550102", "EXTERNAL": "4165550102",
        "LASTTIME": "000200", "VRES": 98, "PAGEWIDTH": 216, "PAGELENGTH": 279, "PAGECHOP": "none", "DOCUMENT": stored,
    }.items():
        assert (said := say(f"JPARM {name} {value}")).startswith("2"), (name, said)
    if submit:
        assert (said := say("JSUBM")).startswith("200"), said
    return job, sorted(set(documents()) - before)


def documents():
    return [path.name for path in (spool / "docq").iterdir() if path.name.startswith("doc")]


print(answer())
say("USER me")
say("TYPE I")
job, kept = made(submit=True)
seen = {"JKILL": say(f"JKILL {job}")}
for _ in range(100):  # the scheduler still holds the job's file for a moment
    seen["JDELE"] = say(f"JDELE {job}")
    if not seen["JDELE"].startswith("504"):
        break
    time.sleep(0.2)
seen["JOB"] = say(f"JOB {job}")
time.sleep(5)
left = [name for name in kept if name in documents()]
seen["DELE"] = say(f"DELE /docq/{left[0]}") if left else "nothing to delete"
for what, said in seen.items():
    print(f"{what}: {said}")
print(f"in docq before: {kept}, after: {left}")
other, _ = made(submit=False)
before = documents()
print(f"not submitted: {say(f'JDELE {other}')}, in docq then: {[n for n in documents() if n not in left]}")
codes = {what: said[:3] for what, said in seen.items()}
assert codes == {"JKILL": "200", "JDELE": "200", "JOB": "500", "DELE": "550"}, codes
assert left == kept and left, "the document is gone: this changed"
assert [n for n in documents() if n not in left] == [], "a job that was not submitted left one, too: this changed"
PYTHON
