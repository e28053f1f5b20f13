#!/bin/bash
# `systemctl reload opendkim` (and opendmarc) on a small Debian 12 says "Failed to locate executable /bin/kill".
#
# The units of OpenDKIM 2.11.0~beta2-8+deb12u1 and OpenDMARC 1.4.2-2 read their keys and settings again by
# `ExecReload=/bin/kill`. That file belongs to procps 4.0.2, which neither of them, nor systemd, nor anything else that
# apt brings along with them, depends on or recommends: on an installation made from nothing a reload after a change of
# keys ends with status 203, and the old keys go on signing. A shell's own `kill` would always be there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(opendkim=2.11.0~beta2-8+deb12u1 opendmarc=1.4.2-2+b1 procps=2:4.0.2-3)
apt-get -qq download "${packages[@]}"

for name in opendkim opendmarc; do
    unit=$(dpkg-deb --fsys-tarfile "$name"_*.deb | tar -xO "./lib/systemd/system/$name.service")
    echo "$name: $(grep ^ExecReload= <<<"$unit")"
    grep -q '^ExecReload=/bin/kill -USR1 \$MAINPID$' <<<"$unit"
done

# What apt would put on a disk that is empty, with all that is recommended.
apt-get --simulate -o Dir::State::status=/dev/null -o APT::Install-Recommends=true \
    install systemd-sysv opendkim opendmarc | sed -n 's/^Inst \([^ ]*\).*/\1/p' >installed
echo "installed from nothing: $(wc -l <installed) packages, procps among them: $(grep -cx procps installed || true)"
grep -qx opendkim installed && grep -qx util-linux installed && ! grep -qx procps installed

# Of those that could have it, only procps does.
apt-get -qq download util-linux coreutils
for package in *.deb; do
    dpkg-deb --contents "$package" | awk '{ print $6 }' | grep -qx './\(usr/\)\?bin/kill' && echo "$package has bin/kill"
done >owners || true
cat owners
[ "$(cut -d _ -f 1 owners)" = procps ]
echo "as seen: the reload of both needs a program that nothing brings along"
