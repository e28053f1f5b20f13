"""Signed replies: Perl's Mail::DKIM, which shares no code with the library that signs, believes each of them."""

import subprocess

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mail2fax.config import ConfigError, Settings
from mail2fax.replies.letters import Letters
from mail2fax.replies.signature import Signer
from tests.support import goldens
from tests.support.dkim import published, verified

RULES = {"sender": "Fax <fax@Office.example>", "dkim_selector": "fax2026"}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def pem(key, form=serialization.PrivateFormat.TraditionalOpenSSL, secret=None) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, secret or serialization.NoEncryption())


@pytest.fixture
def rules(tmp_path, key):
    """[reply] with a key; the file as an administrator on Windows would save it, to be no worse for that."""
    (tmp_path / "dkim.pem").write_bytes(pem(key).replace(b"\n", b"\r\n"))
    return {**RULES, "dkim_key_file": str(tmp_path / "dkim.pem")}


def every(rules: dict) -> list[bytes]:
    """Each kind of reply, in two languages and formats, and each word to the administrator."""
    names = [*goldens.CASES, *goldens.ALERTS]
    made = [goldens.letter(name, "en", **rules) for name in names]
    return made + [goldens.letter(name, "fr", goldens.ASKED, json_part=True, **rules) for name in goldens.REPORTS]


def test_another_library_believes_every_reply(rules, key):
    """By the record that docs/relays.md tells to publish, for the domain of `sender`; also when it was refolded."""
    letters = every(rules)
    assert len(letters) > 10
    results = verified(published(key, "fax2026._domainkey.office.example"), letters)
    assert set(results) == {"pass office.example"}
    refolded = [letter.replace(b"Subject: ", b"subject:\r\n  ", 1) for letter in letters]
    assert set(verified(published(key, "fax2026._domainkey.office.example"), refolded)) == {"pass office.example"}


def test_the_record_is_what_the_page_s_commands_make(rules, key):
    """docs/relays.md, Signed replies."""
    command = f"openssl rsa -in {rules['dkim_key_file']} -pubout -outform der | openssl base64 -A"
    public = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    assert list(published(key, "x").values()) == [f"v=DKIM1; k=rsa; p={public}"]


def test_what_was_changed_is_not_believed(rules, key):
    """Neither another text, nor another subject, nor a second From; nor by another key."""
    letter, record = every(rules)[0], published(key, "fax2026._domainkey.office.example")
    head, _, body = letter.partition(b"\r\n\r\n")
    forged = [
        head + b"\r\n\r\n" + body.replace(b"e", b"a", 1),
        letter.replace(b"Subject: ", b"Subject: not ", 1),
        b"From: <boss@office.example>\r\n" + letter,
    ]
    assert {result.split()[0] for result in verified(record, forged)} == {"fail"}
    other = published(rsa.generate_private_key(65537, 2048), "fax2026._domainkey.office.example")
    assert verified(other, [letter])[0].startswith("fail")


def test_a_domain_of_ones_own_and_a_key_in_pkcs8(tmp_path, key):
    """`openssl genrsa` writes PKCS 8 since version 3."""
    (tmp_path / "key").write_bytes(pem(key, serialization.PrivateFormat.PKCS8))
    rules = {**RULES, "dkim_key_file": str(tmp_path / "key"), "dkim_domain": "Mail.office.example"}
    results = verified(published(key, "fax2026._domainkey.mail.office.example"), every(rules)[:1])
    assert results == ["pass mail.office.example"]


def test_a_key_that_cannot_sign(tmp_path, key):
    """One line with the key's place and how to make a good one; never the key."""
    small = rsa.generate_private_key(65537, 1024)
    (tmp_path / "locked").write_bytes(
        pem(key, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    )
    (tmp_path / "text").write_text("no key")
    (tmp_path / "small").write_bytes(subprocess.check_output(["openssl", "genrsa", "768"], stderr=subprocess.DEVNULL))
    for name, words in (
        ("missing", "No such file"),
        ("text", "openssl genrsa"),
        ("locked", "without a password"),
        ("small", "768 bits"),
    ):
        settings = Settings.model_validate({"reply": {**RULES, "dkim_key_file": str(tmp_path / name)}})
        with pytest.raises(ConfigError, match=words) as caught:
            Letters(settings, goldens.SECRET)
        assert str(caught.value).startswith(f"[reply] dkim_key_file: {tmp_path / name}: ")
        assert "PRIVATE" not in str(caught.value)
    (tmp_path / "least").write_bytes(pem(small))
    assert Letters(Settings.model_validate({"reply": {**RULES, "dkim_key_file": str(tmp_path / "least")}}), b"x")


def test_a_key_without_a_name():
    """It would be found nowhere."""
    with pytest.raises(ValueError, match="needs dkim_selector"):
        Settings.model_validate({"reply": {"dkim_key_file": "x"}})
    with pytest.raises(ValueError, match="needs dkim_domain, since sender is empty"):
        Settings.model_validate({"reply": {"dkim_key_file": "x", "dkim_selector": "a", "sender": ""}})


def test_a_domain_in_other_letters(rules):
    """The DNS knows it in its own form (RFC 6376 section 3.5)."""
    settings = Settings.model_validate({"reply": {**rules, "sender": "fax@bücher.example"}})
    assert Signer(settings.reply).record == "fax2026._domainkey.xn--bcher-kva.example"


def test_what_check_asks_the_dns(rules, key):
    """Whether the record there would make a signature good."""
    signer = Signer(Settings.model_validate({"reply": rules}).reply)
    assert signer.record == "fax2026._domainkey.office.example"
    ((name, text),) = published(key, signer.record).items()
    asked = []

    def txt(wanted, timeout=5):
        asked.append(wanted)
        return text.encode()

    assert signer.problem(txt) == ""
    assert asked == [f"{name}.".encode()]
    assert signer.problem(lambda *_, **__: None) == "no key is published there"
    another = next(iter(published(rsa.generate_private_key(65537, 2048), name).values())).encode()
    assert signer.problem(lambda *_, **__: another) == "the key that is published there is another one"
    for broken in (b"v=DKIM1; p=x", b"v=DKIM1; p=", b"v=DKIM1", b"v=spf1 -all", b"\xff\xfe"):
        assert signer.problem(lambda *_, broken=broken, **__: broken).startswith("what is published there is no key: ")

    def silent(*_, **__):
        raise dkim.DnsTimeoutError("no answer in 5 seconds")

    assert signer.problem(silent) == "the DNS did not answer"
