#!/bin/bash
# Runs inside a bare Debian with a network and processes of its own: the package, init, a Postfix, a mail, a reply;
# what systemd does to the service, where it is the first process; then an upgrade, and the end. Each step that fails
# ends it. Called by tests/bridge/test_debian.py.
set -Eeuo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
booted() { [ -d /run/systemd/system ]; }

failed() {
    echo "== failed in line $1"
    tail -n 20 /serve.log /sandbox.log /mail.log 2>/dev/null || true
    ! booted || journalctl --no-pager --lines 60 --unit mail2fax
}
trap 'failed $LINENO' ERR

eventually() { # so many seconds, a command
    for _ in $(seq $(($1 * 5))); do
        ! "${@:2}" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    echo "never: ${*:2}"
    return 1
}

serve() {
    if booted; then
        systemctl enable --now mail2fax
    else # as the unit does
        setpriv --reuid mail2fax --regid mail2fax --clear-groups --no-new-privs \
            env -C /var/lib/mail2fax MAIL2FAX_CONFIG=/etc/mail2fax/mail2fax.toml /opt/mail2fax/bin/mail2fax serve 2>>/serve.log &
        server=$!
        eventually 60 mail2fax check --running
    fi
}

halt() { # before an upgrade, which systemd needs no help for
    booted || { kill "$server" && wait "$server"; }
}

shown() { # a property of the service, as systemd sees it
    systemctl show mail2fax --property "$1" --value
}

restarted() { # so many times by systemd, and up again
    [ "$(shown NRestarts)" = "$1" ] && [ "$(shown ActiveState)" = active ]
}

journal_tells() {
    journalctl --unit mail2fax --output cat | grep -q "$1"
}

bad_days() { # what systemd does when the service asks, hangs, dies, or is set up wrongly
    printf '[Service]\nWatchdogSec=10\nRestartSec=1\n' >/bad-days.conf
    install -D /bad-days.conf /run/systemd/system/mail2fax.service.d/bad-days.conf
    systemctl daemon-reload
    systemctl restart mail2fax
    systemctl reload mail2fax
    eventually 10 journal_tells reloaded
    kill -STOP "$(shown MainPID)"
    eventually 60 restarted 1
    kill -KILL "$(shown MainPID)"
    eventually 60 restarted 2
    ! journal_tells Traceback
    sed -i 's/^domains/domainz/' /etc/mail2fax/mail2fax.toml
    ! systemctl restart mail2fax
    sleep 3 # time for the restart that is not to come
    [ "$(shown NRestarts) $(shown ExecMainStatus) $(shown ActiveState)" = "0 2 failed" ]
    journalctl --unit mail2fax --priority err --output cat | grep 'did you mean "domains"'
    sed -i 's/^domainz/domains/' /etc/mail2fax/mail2fax.toml
    rm -r /run/systemd/system/mail2fax.service.d
    systemctl daemon-reload
    systemctl restart mail2fax
}

post_office() { # a Postfix for office.example, with one mailbox
    useradd --create-home anna
    postconf -e myhostname=mail.office.example mydestination=office.example inet_interfaces=127.0.0.1 \
        inet_protocols=ipv4 mynetworks=127.0.0.0/8 maillog_file=/mail.log maillog_file_prefixes=/mail.log alias_maps= \
        smtputf8_enable=no mailbox_command=
    if booted; then systemctl restart postfix; else postfix start; fi
}

echo "== bare: $(. /etc/os-release && echo "$PRETTY_NAME"), $(dpkg --get-selections | wc -l) packages"
post_office
SECONDS=0
dpkg -i /old.deb
mail2fax --version
mail2fax sandbox 2>/sandbox.log >&2 & # stands in for the provider
provider=$!
eventually 30 bash -c '</dev/tcp/127.0.0.1/8026'
echo a-token >/token
mail2fax init --domain fax.office.example --provider rinble --url http://127.0.0.1:8026/api/fax --token-file /token \
    --admin anna@office.example </dev/null | tee /init.out
line=$(grep ^transport_maps /init.out)
postconf -e "$line"
postfix reload
serve
/opt/mail2fax/bin/python - <<'PYTHON'
import email.policy, smtplib
from mail2fax.cli import demo
with smtplib.SMTP("127.0.0.1", 25) as client:
    client.sendmail("anna@office.example", "4165550123@fax.office.example", demo.mail().as_bytes(policy=email.policy.SMTP))
PYTHON
eventually 90 grep -q '^Subject: .*416' /var/mail/anna
echo "== from the package to the reply: $SECONDS s"
grep '^Subject:' /var/mail/anna
mail2fax test 4165550124

stat -c '%a %U:%G %n' /etc/mail2fax/* /var/lib/mail2fax /var/lib/mail2fax/spool.db
[ "$(stat -c %a%U%G /etc/mail2fax/token)" = 640rootmail2fax ]
[ "$(stat -c %a%U /var/lib/mail2fax)" = 700mail2fax ]
bash -c '. /usr/share/bash-completion/completions/mail2fax; complete -p mail2fax' | grep _mail2fax
zcat /usr/share/man/man1/mail2fax.1.gz | grep -q '^.SS .*mail2fax init'
[ -e /usr/lib/systemd/system/mail2fax.service ] && [ ! -e /etc/systemd/system/mail2fax.service ]

if booted; then
    echo "== $(systemctl --version | head -n 1)"
    journalctl --unit mail2fax --output cat | grep 'workers are confined .*landlock, seccomp missing=$'
    bad_days
    before=$(shown MainPID)
fi

echo "== upgrade"
halt
echo 'MAIL2FAX_LOG__LEVEL=debug' >>/etc/default/mail2fax
dpkg -i /new.deb
dpkg-query --show mail2fax | grep -q 99
grep -q LEVEL=debug$ /etc/default/mail2fax # a file of the administrator's
if booted; then # the package has started it again
    [ "$(shown ActiveState)" = active ] && [ "$(shown MainPID)" != "$before" ]
else
    serve
fi
[ "$(mail2fax list --json | grep -c '"state": "delivered"')" = 2 ]
halt
kill $provider && wait $provider

echo "== removed"
dpkg -r mail2fax
[ -e /etc/mail2fax/mail2fax.toml ] && [ -e /var/lib/mail2fax/spool.db ] && [ ! -e /opt/mail2fax ]
dpkg -P mail2fax
! getent passwd mail2fax
left=$(find / -xdev -not -path '/proc/*' -iname '*mail2fax*')
[ -z "$left" ] || { echo "left: $left"; exit 1; }
! booted || ! systemctl is-active mail2fax
echo "== purged"
postfix stop
