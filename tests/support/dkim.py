"""Verifies DKIM signatures by Perl's Mail::DKIM: another author's code than the library that signs."""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROGRAM = r"""
use strict; use JSON::PP; use Mail::DKIM::Verifier; use Net::DNS;
my ($records, $mails) = @{decode_json(do { local $/; <STDIN> })};
{ package Fake; sub new { bless {}, shift } sub errorstring { "NOERROR" }
  sub send { my ($self, $name, $type) = @_;
    my $answer = Net::DNS::Packet->new($name, $type);
    $answer->header->rcode(exists $records->{$name} ? "NOERROR" : "NXDOMAIN");
    $answer->push(answer => Net::DNS::RR->new(name => $name, type => "TXT", txtdata => [unpack "(a250)*", $records->{$name}]))
      if exists $records->{$name};
    return $answer; } }
Mail::DKIM::DNS::resolver(Fake->new);
for my $mail (@$mails) {
  my $verifier = Mail::DKIM::Verifier->new;
  $verifier->PRINT(pack "H*", $mail);
  $verifier->CLOSE;
  my $signature = $verifier->signature;
  print $verifier->result, " ", ($signature ? $signature->domain : ""), "\n";
}
"""


def published(key: RSAPrivateKey, name: str) -> dict[str, str]:
    """The TXT record of this key, as docs/relays.md tells to write it."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {name: f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"}


def verified(records: dict[str, str], mails: Sequence[bytes]) -> list[str]:
    """Of each mail "pass DOMAIN", "fail DOMAIN" or "none ", by these records; skipped without the program."""
    if (
        not shutil.which("perl")
        or subprocess.run(["perl", "-MMail::DKIM", "-e1"], capture_output=True, check=False).returncode
    ):
        pytest.skip("Perl's Mail::DKIM is not installed")
    given = json.dumps([records, [mail.hex() for mail in mails]])
    done = subprocess.run(["perl", "-e", PROGRAM], input=given, text=True, capture_output=True, check=True, timeout=60)
    return done.stdout.splitlines()
