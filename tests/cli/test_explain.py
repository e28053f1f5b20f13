"""`mail2fax explain`: what would happen to a mail, and the rule that decides."""

import dataclasses
import json
import stat
from email.message import EmailMessage

import pikepdf
import pytest
from PIL import Image

from mail2fax.config import FaxLine, Limits, Numbers, Provider, Reply, Settings, Smtp
from mail2fax.explain import explain
from mail2fax.model import Fate, Reason
from mail2fax.smtp.users import hash_line

ANSWERING = Settings(numbers=Numbers(mistyped="reply"))
GOOD = ("bob@office.example", "+1-647-495-9659@fax.local")


def said(found):
    return {step.what: (step.good, step.said, step.rule) for step in found.steps}


def test_a_mail_that_would_be_faxed():
    """Every step from the client to the reply is told, with the number as it is dialled and the rule behind it."""
    found = explain(Settings(), *GOOD)
    assert found.accepted
    assert found.recipient.number == "6474959659"
    assert said(found) == {
        "client": (True, "127.0.0.1 may send", '[smtp] trusted_networks "127.0.0.0/8"'),
        "sender": (True, "bob@office.example", '[smtp] allowed_senders "*"'),
        "number": (True, "(647) 495-9659, dialled as 6474959659", '[numbers] allow "CA": in Canada'),
        "line": (True, "default, which has no token yet", "[provider] token, no [[line]] fits"),
        "reply": (True, "to bob@office.example", "[reply] relay smtp://127.0.0.1:25"),
    }


@pytest.mark.parametrize(
    ("sender", "recipient", "client", "step", "reply", "rule"),
    [
        (*GOOD, "192.0.2.1", "client", "530 5.7.0 Authentication required", "[smtp] trusted_networks, none fits"),
        ("eve@evil.example", GOOD[1], "::1", "sender", "550 5.7.1 ", "[smtp] allowed_senders, none fits"),
        ("", GOOD[1], "::1", "sender", "550 5.7.1 Mail from <>", "the null reverse-path"),
        (GOOD[0], "4959@fax.local", "::1", "number", "550 5.1.1 ", "the form of the address"),
        (
            GOOD[0],
            "9004951234@fax.local",
            "::1",
            "number",
            "550 5.7.1 ",
            "[numbers] allow, none fits: a premium-rate number",
        ),
        (GOOD[0], "6474959659@evil.example", "::1", "number", "550 5.7.1 ", "[smtp] domains, none fits"),
    ],
)
def test_a_mail_that_would_be_refused(sender, recipient, client, step, reply, rule):
    """The step that refuses says the listener's reply; the others are told as well."""
    found = explain(Settings(smtp=Smtp(allowed_senders=["*@office.example"])), sender, recipient, client)
    good, text, decided_by = said(found)[step]
    assert not good
    assert not found.accepted
    assert text.startswith(reply)
    assert decided_by == rule
    assert all(other.good for other in found.steps if other.what not in {step, "reply"})


@pytest.mark.parametrize(
    ("sender", "recipient", "smtp", "when", "words"),
    [
        ("", GOOD[1], {}, ("sender", "DATA"), "550 5.7.1 Mail from <>"),
        (GOOD[0], "911@fax.local", {}, ("number", "RCPT"), "550 5.1.1 "),
        (GOOD[0], GOOD[1], {"trusted_networks": ["192.0.2.0/24"]}, ("client", "MAIL"), "530 5.7.0 "),
        (GOOD[0], "fax@fax.local", {}, ("number", "DATA"), "550 5.1.1 nobody reads this address"),
        (GOOD[0], "Postmaster@fax.local", {}, ("number", "DATA"), "550 5.1.1 nobody reads postmaster here"),
        (GOOD[0], "postmaster@fax.local", {"postmaster": "kim@x.example"}, ("number", ""), "not faxed, but forwarded"),
        (GOOD[0], "resend+6F.abc@fax.local", {}, ("number", ""), "not faxed: it asks for what the answered reply"),
    ],
)
def test_when_it_would_be_refused(sender, recipient, smtp, when, words):
    """A server that asks back stops at RCPT: what is said at DATA it never hears."""
    found = explain(Settings(smtp=Smtp(**smtp)), sender, recipient)
    step = next(step for step in found.steps if not step.good)
    assert ((step.what, step.when), step.said[: len(words)]) == (when, words)
    assert not found.accepted


def test_a_mistyped_number():
    """Refused, or taken to be answered by a reply; either way no fax is sent."""
    for settings, client, reply, rule in (
        (Settings(), "127.0.0.1", "550 5.1.1 ", "the form of the address"),
        (
            ANSWERING,
            "127.0.0.1",
            'taken, and answered by a reply: "416555010" has 9 digits',
            '[numbers] mistyped "reply"',
        ),
        (ANSWERING, "192.0.2.1", "550 5.1.1 ", "the form of the address"),
    ):
        found = explain(settings, GOOD[0], "416555010@fax.local", client)
        good, text, decided_by = said(found)["number"]
        assert not good and not found.accepted and found.recipient is None
        assert text.startswith(reply) and decided_by == rule


def test_the_sender_behind_a_tag():
    """A signed return path finds the same line, and the pattern that fits is named."""
    line = FaxLine(name="accounting", senders=["ann@office.example"])
    found = explain(Settings(line=[line]), "prvs=7791dd7436=ann@office.example", GOOD[1])
    assert found.line == "accounting"
    assert said(found)["line"][2] == '[[line]] "accounting" senders "ann@office.example"'
    assert found.reply_to == "prvs=7791dd7436=ann@office.example"


def test_a_login(tmp_path):
    """A login makes up for an untrusted network; one that is not in the users file is told."""
    (tmp_path / "users").write_text(hash_line("bob", "x", ["bob@office.example"]))
    settings = Settings(smtp=Smtp(users_file=str(tmp_path / "users")))
    assert explain(settings, *GOOD, "192.0.2.1", "bob").accepted
    bound = said(explain(settings, "eve@office.example", GOOD[1], "192.0.2.1", "bob"))
    assert bound["sender"][2] == '[smtp] users_file, login "bob"'
    assert said(explain(settings, *GOOD, "192.0.2.1", "eve"))["login"][1] == '535 5.7.8 there is no login "eve"'


def test_a_certificate():
    """Its name lets a client in that is in no trusted network, where a certificate is asked for."""
    smtp = {"tls_certificate": "cert.pem", "client_certificates": ["mail.office.example"]}
    settings = Settings(smtp=Smtp(**smtp), numbers=Numbers(mistyped="reply"))
    found = explain(settings, *GOOD, "192.0.2.1", certificate="Mail.office.example")
    assert found.accepted
    assert said(found)["client"][2] == '[smtp] client_certificates "mail.office.example"'
    wrong = explain(settings, GOOD[0], "416555010@fax.local", "192.0.2.1", certificate="mail.office.example")
    assert said(wrong)["number"][2] == '[numbers] mistyped "reply"'
    other = explain(settings, *GOOD, "192.0.2.1", certificate="mail.elsewhere.example")
    assert "shows no certificate but for mail.elsewhere.example" in said(other)["client"][1]
    elsewhere = Settings(smtp=Smtp(**smtp, client_certificate_networks=["198.51.100.0/24"]))
    unasked = explain(elsewhere, *GOOD, "192.0.2.1", certificate="mail.office.example")
    assert "shows no certificate that is let in" in said(unasked)["client"][1]
    both = explain(elsewhere, *GOOD, "::ffff:198.51.100.7", certificate="mail.office.example")
    assert said(both)["client"][2] == '[smtp] client_certificates "mail.office.example"'


def test_line_budget_and_reply():
    """The fax line that pays, the budgets that are set and the relay are named; no password is."""
    settings = Settings(
        line=[FaxLine(name="office", senders=["x@y.example", "*@office.example"], token="s3cret")],
        limits=Limits(sender_pages_per_day=100),
        provider=Provider(token="s3cret"),
        reply=Reply(relay="smtp://u:s3cret@mail.office.example"),
    )
    found = explain(settings, *GOOD)
    assert found.line == "office"
    told = said(found)
    assert told["line"] == (True, "office", '[[line]] "office" senders "*@office.example"')
    assert told["budget"][1] == "not counted here: sender_pages_per_day = 100"
    assert told["reply"][2] == "[reply] relay smtp://u:***@mail.office.example"
    assert "s3cret" not in json.dumps(dataclasses.asdict(found))


def mail(tmp_path, *attachments, **headers):
    message = EmailMessage()
    message["From"], message["Subject"] = "bob@office.example", "Report"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Please see attached.")
    for name, content in attachments:
        message.add_attachment(content, "application", "pdf", filename=name)
    path = tmp_path / "mail.eml"
    path.write_bytes(bytes(message))
    return path


@pytest.fixture
def document(tmp_path):
    pdf = pikepdf.new()
    for _ in range(2):
        pdf.add_blank_page(page_size=(612, 792))
    pdf.save(tmp_path / "two.pdf")
    return (tmp_path / "two.pdf").read_bytes()


def test_a_file(tmp_path, document):
    """Of a mail in a file each part is accounted for, and the document's pages and size are told."""
    found = explain(Settings(), *GOOD, file=mail(tmp_path, ("two.pdf", document)))
    assert found.accepted
    assert [(part.name, part.fate, part.pages) for part in found.parts if part.fate is Fate.FAXED] == [
        ("two.pdf", Fate.FAXED, 2)
    ]
    good, text, rule = said(found)["document"]
    assert good
    assert text.startswith("2 pages, ")
    assert rule == '[documents] several "merge"'


def test_a_preview(tmp_path, document):
    """The pages as the other machine prints them, in fine and in normal, lie in a folder that is made for them."""
    folder = tmp_path / "new" / "preview"
    found = explain(Settings(), *GOOD, file=mail(tmp_path, ("two.pdf", document)), preview=folder)
    names = [f"1-page-{page}-{mode}.png" for page in (1, 2) for mode in ("fine", "normal")]
    assert sorted(file.name for file in folder.iterdir()) == names
    for name in names:
        with Image.open(folder / name) as picture:
            assert (picture.size, picture.mode) == ((1728, 2156), "1")
    assert said(found)["preview"][1] == f"4 pictures of pages in {folder}"
    # They show what the mail says: nobody else may look, not even where an earlier one was open to all.
    (folder / names[0]).chmod(0o644)
    explain(Settings(), *GOOD, file=mail(tmp_path, ("two.pdf", document)), preview=folder)
    assert {stat.S_IMODE(file.stat().st_mode) for file in [folder, *folder.iterdir()]} == {0o700, 0o600}


def test_a_file_that_would_not_be_faxed(tmp_path, document):
    """No PDF, too large a mail and an automatic reply are told with their reason."""
    found = explain(Settings(), *GOOD, file=mail(tmp_path))
    assert not found.accepted
    assert said(found)["document"][1] == Reason.NOTHING_FAXABLE
    assert found.parts
    large = explain(Settings(smtp=Smtp(max_message_size=100)), *GOOD, file=mail(tmp_path, ("two.pdf", document)))
    assert said(large)["mail"][1].startswith("552 5.3.4 ")
    looping = explain(Settings(), *GOOD, file=mail(tmp_path, ("two.pdf", document), Auto_Submitted="auto-replied"))
    assert said(looping)["mail"][1].startswith("550 5.7.1 ")
