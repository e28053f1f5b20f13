#!/bin/bash
# A PEM key that was saved or mailed on Windows has CR LF line ends. OpenSSL and Perl's Crypt::OpenSSL::RSA read such a file;
# dkimpy 1.1.8 looks for a bare LF after the dashes and says "Private key not found", although the key is there and whole.
# The same bytes with LF sign. A program that hands a file's bytes to dkim.sign() should turn CR LF into LF first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install dkimpy==1.1.8 dnspython==2.7.0
cd "$folder"
openssl genrsa -out lf.pem 2048 2>/dev/null
sed 's/$/\r/' lf.pem >crlf.pem
openssl version
openssl rsa -in crlf.pem -check -noout
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version
from pathlib import Path

import dkim

MAIL = b"From: <fax@office.example>\r\nSubject: Delivered\r\n\r\nThe fax was delivered.\r\n"
said = {}
for name in ("lf.pem", "crlf.pem"):
    try:
        signature = dkim.sign(MAIL, b"fax", b"office.example", Path(name).read_bytes())
        said[name] = signature.split(b":")[0].decode()
    except dkim.KeyFormatError as error:
        said[name] = f"KeyFormatError: {error}"
    print(f"dkimpy {version('dkimpy')}, {name}: {said[name]}")
assert said == {"lf.pem": "DKIM-Signature", "crlf.pem": "KeyFormatError: Private key not found"}, said
PYTHON
