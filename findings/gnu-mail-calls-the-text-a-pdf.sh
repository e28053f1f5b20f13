#!/bin/bash
# GNU mail's --content-type is, by its own help, for the attachments named after it. In mailutils 3.15 (Debian 12) it also
# becomes the type of the text: the mail begins with an inline part of application/pdf whose content is what was typed, and
# the PDF comes second. Without the option the text is text/plain, and the PDF application/octet-stream, so that a careful
# script has reason to use it. Who takes the first PDF of a mail for its document gets a few words that are none.
#
# Nothing is installed: the packages are unpacked in a temporary folder. What is mailed goes into a file.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download mailutils=1:3.15-4 libmailutils9=1:3.15-4 mailutils-common=1:3.15-4 \
    guile-3.0-libs libgc1 libgsasl18 libgssglue1 libntlm0 libidn12 libltdl7 libpython3.11 libmariadb3 libpq5 libunistring2 \
    libfribidi0 libldap-2.5-0 libsasl2-2 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' -path '*/lib/*' | paste -sd:)
printf '#!/bin/sh\ncat >"%s/mail"\n' "$folder" >sendmail
chmod +x sendmail
printf '%%PDF-1.4\n%%%%EOF\n' >order.pdf

mailed() {
    rm -f mail
    echo "Please see the attachment." |
        HOME=$folder LD_LIBRARY_PATH=$libraries "$folder/root/usr/bin/mail.mailutils" --no-config \
            -E "set sendmail=sendmail:$folder/sendmail" -s Order "$@" -A order.pdf shop@office.example
    for _ in $(seq 50); do [ -s mail ] && break; sleep 0.1; done
    python3 - <<'PYTHON'
import email
import email.policy

with open("mail", "rb") as file:
    mail = email.message_from_binary_file(file, policy=email.policy.default)
for part in mail.iter_parts():
    print(f"    {part.get_content_type()}, {part.get_content_disposition()}: {part.get_payload(decode=True)[:26]!r}")
PYTHON
}
LD_LIBRARY_PATH=$libraries "$folder/root/usr/bin/mail.mailutils" --version | head -1
echo "mail -A order.pdf"
mailed | tee without
echo "mail --content-type=application/pdf -A order.pdf"
mailed --content-type=application/pdf | tee with
grep -q "^    text/plain, inline: b'Please see" without
grep -q "^    application/octet-stream, attachment: b'%PDF" without
grep -q "^    application/pdf, inline: b'Please see" with
grep -q "^    application/pdf, attachment: b'%PDF" with
echo "as seen: the text has the type of what is attached to it"
