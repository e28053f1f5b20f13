"""Every part of a mail is accounted for: PDFs are found by content, all else is ignored or refused with a reason."""

import base64
import io
import time
import zipfile

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from mail2fax.documents.mime import MimeLimits, take_apart, transfer
from mail2fax.model import Fate, Permanent, Reason
from tests.support import mails
from tests.support.mails import mail, multipart, part, pdf, png, text
from tests.support.outlook import outlook, outlook_within

ONE, TWO = pdf("One"), pdf("Two", pages=2)
B64 = mails.encoded(ONE, "base64")


def documents(content: bytes) -> list[bytes]:
    """What is faxed, in order."""
    return [item.data for item in take_apart(content).items if item.kind == "pdf"]


def account(content: bytes) -> list[tuple[str, str]]:
    """Each part's content type and verdict."""
    return [
        (item.part.kind, item.part.reason.value if item.part.reason else item.part.fate.value)
        for item in take_apart(content).items
    ]


def accounted(content: bytes):
    """The account, or nothing if the mail was refused as a bomb: the only two answers there are."""
    try:
        items = take_apart(content).items
    except Permanent as verdict:
        if verdict.reason is not Reason.MAIL_BOMB:
            raise
        return ()
    assert items
    return items


def only(content: bytes):
    """The one item that is not the mail's text."""
    (item,) = [item for item in take_apart(content).items if item.part.reason is not Reason.MAIL_TEXT]
    return item


# -- wrappings


def posix(data: bytes, name: bytes, form: bytes = b"-base64") -> bytes:
    """As `uuencode -m` of POSIX.1-2017 writes it."""
    return b"begin" + form + b" 644 " + name + b"\n" + base64.encodebytes(data) + b"====\n"


def pem(data: bytes) -> bytes:
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(data) + b"-----END PKCS7-----\n"


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


# -- PDFs are found wherever they are

WRAPPINGS = {
    "as everybody sends it": multipart(text(), part(ONE, name="scan.pdf")),
    "as octets": multipart(text(), part(ONE, "application/octet-stream", name="scan.pdf")),
    "without any name": multipart(text(), part(ONE, "application/octet-stream", disposition="")),
    "as a picture": multipart(part(ONE, "image/jpeg", name="scan.jpg")),
    "as text": multipart(text(), part(ONE, "text/plain", name="scan.pdf")),
    "inline, as Apple does": multipart(text(), part(ONE, disposition="inline", name="scan.pdf"), text("Sent from my iPhone")),
    "the mail is the PDF": part(ONE, name="scan.pdf"),
    "the mail is the PDF, nothing says so": part(ONE, "", encoding="", disposition=""),
    "the mail is the PDF in base64, nothing says so": b"\r\n" + B64,
    "quoted-printable": multipart(text(), part(ONE, encoding="quoted-printable")),
    "8bit": multipart(text(), part(ONE, encoding="8bit")),
    "uuencoded": multipart(text(), part(ONE, encoding="x-uuencode")),
    "uuencoded in a text": text("See below\r\n\r\n" + mails.encoded(ONE, "x-uuencode").decode()),
    "base64 that calls itself 7bit": multipart(text(), part(B64, encoding="7bit")),
    "base64 that says nothing": multipart(text(), part(B64, encoding="")),
    "8bit that calls itself base64": multipart(part(ONE, encoding="").replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)),
    "base64 with a footer": multipart(part(ONE).rstrip() + b"\r\n_______\r\nA mailing list\r\n"),
    "base64 without padding": multipart(part(ONE).rstrip().rstrip(b"=")),
    "base64 of padded chunks": multipart(
        part(b"", headers=()) + b"\r\n".join(base64.b64encode(ONE[at : at + 55]) for at in range(0, len(ONE), 55))
    ),
    "base64 with junk in it": multipart(part(ONE).replace(b"\r\n", b" \t\r\n!!! -- !!!\r\n\r\n").replace(b"!!! -- !!!\r\n\r\n", b"", 4)),
    "deep inside": multipart(multipart(multipart(text(), part(ONE), boundary="c"), boundary="b"), boundary="a"),
    "a third alternative": multipart(text(), text("<p>x", "text/html"), part(ONE), kind="alternative"),
    "in both alternatives": multipart(multipart(text(), part(ONE), boundary="a"), multipart(text("<p>x", "text/html"), part(ONE), boundary="b"), kind="alternative"),
    "beside HTML that shows it": multipart(text("<p>", "text/html"), part(ONE, disposition="inline", headers=["Content-ID: <1>"]), kind="related"),
    "forwarded": multipart(text(), b"Content-Type: message/rfc822\r\n\r\n" + mails.office_mail(ONE)),
    "forwarded in base64": multipart(part(mails.office_mail(ONE), "message/rfc822")),
    "forwarded as a file": multipart(part(mails.office_mail(ONE), "application/octet-stream", name="Invoice.EML")),
    "forwarded twice": b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n" + mails.office_mail(ONE),
    "from a mailbox file": b"Content-Type: message/rfc822\r\n\r\nFrom anna Fri Nov 14\r\n" + mails.office_mail(ONE),
    "a digest": multipart(b"\r\n" + mails.office_mail(ONE), kind="digest", boundary="d"),
    "winmail.dat": multipart(text(), part(mails.winmail(("scan.pdf", ONE)), "application/ms-tnef", name="winmail.dat")),
    "winmail.dat as octets": part(mails.winmail(("scan.pdf", ONE)), "application/octet-stream"),
    "signed by S/MIME": multipart(text(), part(ONE), part(mails.cms(None), "application/pkcs7-signature", name="smime.p7s"), kind="signed"),
    "signed by PGP": multipart(part(ONE), part(b"-----BEGIN PGP SIGNATURE-----", "application/pgp-signature"), kind="signed"),
    "within an S/MIME signature": part(mails.cms(multipart(text(), part(ONE))), "application/pkcs7-mime; smime-type=signed-data"),
    "within one made of chunks": part(mails.cms(multipart(text(), part(ONE)), chunk=1000), "application/x-pkcs7-mime", name="smime.p7m"),
    "a signed file": multipart(text(), part(mails.cms(ONE), "application/pkcs7-mime", name="invoice.pdf.p7m")),
    "without a last boundary": multipart(text(), part(ONE))[: -len("--=_boundary--\r\n")],
    "with blanks after the boundary": multipart(text(), part(ONE)).replace(b"--=_boundary\r\n", b"--=_boundary \t\r\n"),
    "one boundary begins with the other": multipart(text(), multipart(part(ONE), boundary="=_boundary_2")),
    "the same boundary twice": multipart(multipart(text(), part(ONE), boundary="b"), boundary="b"),
    "a first boundary line cut": multipart(part(ONE), text()).replace(b"--=_boundary", b"--=_bound", 1),
    "a first boundary line lost": multipart(part(ONE), text()).replace(b"--=_boundary\r\n", b"", 1),
    "no boundary named": multipart(text(), part(ONE)).replace(b'; boundary="=_boundary"', b"", 1),
    "another boundary named": multipart(text(), part(ONE)).replace(b'"=_boundary"', b'"another"', 1),
    "a multipart in base64": part(multipart(text(), part(ONE)).partition(b"\r\n\r\n")[2], 'multipart/mixed; boundary="=_boundary"', disposition=""),
    "no blank line after the header": multipart(text(), part(ONE).replace(b"\r\n\r\n", b"\r\n", 1)),
    "a stray line in the header": multipart(text(), part(ONE).replace(b"\r\n", b"\r\nstray\r\n", 1)),
    "bare line feeds": multipart(text(), part(ONE)).replace(b"\r\n", b"\n"),
    "uuencoded by its Base64 algorithm": text("See below\n" + posix(ONE, b"scan.pdf").decode()),
    "the same with its name encoded": text(posix(ONE, base64.b64encode(b"scan.pdf"), b"-base64-encoded").decode()),
    "base64 twice": multipart(text(), part(B64, name="scan.pdf")),
    "base64 twice, called 7bit": multipart(text(), part(base64.encodebytes(B64), encoding="7bit", name="scan.pdf")),
    "as a web page holds it": multipart(text(), part(b"data:application/pdf;base64," + B64, encoding="7bit", name="scan.pdf")),
    "the only piece of a split mail": part(mails.office_mail(ONE), "message/partial; id=x; number=1; total=1", encoding="", disposition=""),
    "what a spam filter wrapped up": multipart(text("Spam"), part(mails.office_mail(ONE), "text/plain; x-spam-type=original", encoding="8bit")),
    "an S/MIME signature in PEM": part(pem(mails.cms(multipart(text(), part(ONE)))), "application/pkcs7-mime", encoding="7bit", name="smime.p7m"),
    "one in base64 in base64": part(base64.encodebytes(mails.cms(part(ONE))), "application/pkcs7-mime", name="smime.p7m"),
    "a header broken by an empty line": multipart(text(), part(ONE)).replace(b"Content-Type: multipart", b"X-Scanner: 1\r\n\r\nContent-Type: multipart", 1),
    "a second type behind a first": b"Content-Type: text/plain\r\n" + multipart(text(), part(ONE)),
    "half a type": multipart(text(), part(ONE)).replace(b"multipart/mixed", b"multipart", 1),
    "no type at all": multipart(text(), part(ONE)).replace(b"Content-Type: multipart/mixed", b"X-Was", 1),
    "winmail.dat with a footer": part(mails.winmail(("scan.pdf", ONE)) + b"_______\r\nA mailing list of ours\r\n", "application/ms-tnef"),
    "a document of Apple's with its preview": multipart(text(), part(zipped(("Index/Document.iwa", b"x"), ("QuickLook/Preview.pdf", ONE)), name="a.pages")),
}  # fmt: skip


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_pdf_is_found(wrapping):
    """However a PDF is wrapped, it is faxed once, byte for byte."""
    found = documents(mail(WRAPPINGS[wrapping]))
    assert [data.rstrip() for data in found] == [ONE.rstrip()]


@pytest.mark.parametrize(
    "spelling", ["BASE64", "base64 ", "base64;", '"base64"', "Base-64", "b64", " base64 (see RFC 2045)"]
)
def test_the_encodings_name_is_read_generously(spelling):
    """Every spelling of base64 that was seen in real mail is base64."""
    content = mail(multipart(text(), part(ONE).replace(b": base64", b": " + spelling.encode())))
    assert documents(content) == [ONE]


def test_lines_ended_by_bare_cr_are_lines():
    """Old Macs end lines with CR: such a mail is read like any other."""
    assert documents(mails.office_mail(ONE).replace(b"\r\n", b"\r")) == [ONE]


def test_a_byte_order_mark_is_no_header():
    """A mail that an editor saved begins with three bytes too many."""
    assert documents(b"\xef\xbb\xbf" + mails.office_mail(ONE)) == [ONE]


def test_a_missing_mime_version_changes_nothing():
    """Scanners forget MIME-Version, Date and Message-ID."""
    assert documents(multipart(text(), part(ONE))) == [ONE]


def test_the_order_of_the_mail_is_kept():
    """Documents come in the order in which they stand, through containers."""
    inner = b"Content-Type: message/rfc822\r\n\r\n" + mails.office_mail(TWO)
    content = mail(
        multipart(
            part(pdf("0")),
            inner,
            part(mails.winmail(("a.pdf", pdf("3")), ("b.pdf", pdf("4")))),
            part(pdf("5")),
            boundary="o",
        )
    )
    assert documents(content) == [pdf("0"), TWO, pdf("3"), pdf("4"), pdf("5")]


def test_the_same_pdf_twice_is_faxed_twice():
    """Nobody but the sender knows whether the second copy was meant: what he attached is what is faxed."""
    assert documents(mails.office_mail(ONE, ONE)) == [ONE, ONE]


def test_different_pdfs_in_alternatives_are_all_faxed():
    """A page too many is better than one too few."""
    assert documents(mail(multipart(text(), part(ONE), part(TWO), kind="alternative"))) == [ONE, TWO]


def test_other_forms_of_a_faxed_alternative_are_ignored():
    """A picture that is offered instead of the PDF is not faxed too."""
    content = mail(multipart(part(png(900, 900), "image/png"), part(ONE), kind="alternative"))
    assert account(content) == [("image/png", "alternative"), ("application/pdf", "faxed")]


def test_bytes_before_the_pdf_are_allowed():
    """MacBinary and scanners put bytes before %PDF-: Acrobat looks at 1,024, and so do we."""
    assert documents(mail(part(bytes(128) + ONE))) == [bytes(128) + ONE]
    assert account(mail(part(bytes(1024) + ONE))) == [("application/octet-stream", "not-a-pdf")]


def test_a_text_that_talks_of_pdfs_is_a_text():
    """Only a text that begins as a PDF is one."""
    assert account(mail(text("The header %PDF-1.4 must come first."))) == [("text/plain", "mail-text")]


# -- what is not faxed has its reason

REFUSED = {
    "empty": (part(b"", name="scan.pdf"), "application/pdf", Reason.EMPTY),
    "a picture called PDF": (part(png(900, 900), name="scan.pdf"), "image/png", Reason.NOT_A_PDF),
    "a page called PDF": (part(b"<html>", "application/octet-stream", name="A.PDF"), "text/html", Reason.NOT_A_PDF),
    "Word": (part(b"PK\3\4" + bytes(26) + b"word/document.xml", name="Offer.docx", kind="application/octet-stream"), "application/vnd.openxmlformats-officedocument.wordprocessingml.document", Reason.UNSUPPORTED),
    "locked Office": (part(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "application/msword", name="a.doc"), "application/vnd.ms-office-encrypted", Reason.LOCKED),
    "zip": (part(b"PK\3\4" + bytes(26) + b"a.pdf" + ONE, "application/zip", name="a.zip"), "application/zip", Reason.NOT_REACHABLE),
    "iPhone photo": (part(b"\0\0\0\x18ftypheic", "image/heic", name="a.heic"), "image/heic", Reason.UNSUPPORTED),
    "sound": (part(b"\0\1\2", "audio/x-wav", name="a.wav"), "audio/x-wav", Reason.UNSUPPORTED),
    "S/MIME encrypted": (part(mails.cms(b"?", kind="2a864886f70d010703"), "application/pkcs7-mime", name="smime.p7m"), "application/pkcs7-mime", Reason.ENCRYPTED_MAIL),
    "PGP encrypted": (multipart(part(b"Version: 1", "application/pgp-encrypted"), part(b"-----BEGIN PGP MESSAGE-----"), kind="encrypted"), "multipart/encrypted", Reason.ENCRYPTED_MAIL),
    "PGP in the text": (text("-----BEGIN PGP MESSAGE-----\r\n"), "text/plain", Reason.ENCRYPTED_MAIL),
    "a fragment": (part(b"x", "message/partial; number=1; total=2"), "message/partial", Reason.SPLIT_MAIL),
    "a link to a file": (part(b"x", "message/external-body; access-type=URL"), "message/external-body", Reason.NOT_REACHABLE),
    "broken base64": (part(b"", name="a.pdf") + b"#### ?? ####", "application/pdf", Reason.UNDECODABLE),
    "broken S/MIME": (part(mails.cms(ONE)[:400], "application/pkcs7-mime", name="smime.p7m"), "application/pkcs7-mime", Reason.DAMAGED),
    "cut winmail.dat": (part(mails.winmail(("a.pdf", ONE))[:200], "application/ms-tnef"), "application/octet-stream", Reason.DAMAGED),
    "a PDF outside of every part": (text("--lost\r\n\r\n" + B64.decode()), "application/pdf", Reason.UNDECODABLE),
    "a PDF before the first part": (multipart(text()).replace(b"\r\n\r\n", b"\r\n\r\n" + B64, 1), "application/pdf", Reason.UNDECODABLE),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_faxed_is_refused_with_its_reason(case):
    """Nothing that might be a document is passed over in silence; what it is, is told by its bytes."""
    content, kind, reason = REFUSED[case]
    part = only(mail(content)).part
    assert (part.kind, part.fate, part.reason) == (kind, Fate.REFUSED, reason)


def test_a_pdf_swallowed_by_another_part_is_not_passed_over():
    """Without the boundary between two PDFs the second one hides behind the first one's padding: that is said."""
    whole = mail(multipart(part(ONE), part(TWO)))
    second = whole.rindex(b"--=_boundary\r\n")
    found = account(whole[:second] + whole[second + len("--=_boundary\r\n") :])
    assert found == [("application/pdf", "faxed"), ("application/pdf", "undecodable")]


IGNORED = {
    "calendar": (part(b"BEGIN:VCALENDAR", "text/calendar"), Reason.CALENDAR),
    "calendar as a file": (part(b"BEGIN:VCALENDAR", "application/octet-stream", name="invite.ics"), Reason.CALENDAR),
    "contact": (part(b"BEGIN:VCARD", "text/x-vcard", name="me.vcf"), Reason.CONTACT_CARD),
    "logo": (part(png(180, 60), "image/png", name="logo.png"), Reason.SIGNATURE_IMAGE),
    "delivery report": (part(b"Reporting-MTA: dns; x", "message/delivery-status"), Reason.DELIVERY_REPORT),
    "signature": (part(mails.cms(None), "application/octet-stream", name="smime.p7s"), Reason.CRYPTO_SIGNATURE),
    "Macintosh side": (part(b"\0\5\x16\7\0\2\0\0", "application/applefile", name="a.pdf"), Reason.ALTERNATIVE),
}


@pytest.mark.parametrize("case", IGNORED)
def test_what_belongs_to_the_post_is_ignored_with_its_reason(case):
    """What no sender means to fax is ignored, and said to be."""
    content, reason = IGNORED[case]
    part = only(mail(multipart(text(), content))).part
    assert (part.fate, part.reason) == (Fate.IGNORED, reason)


def test_a_picture_that_the_text_shows_is_no_document():
    """A picture named by its Content-ID in the HTML belongs to the text, however large; another one does not."""
    html = text('<img src="cid:logo%40office">', "text/html")
    shown = part(png(1700, 2200), "image/png", headers=["Content-ID: <logo@office>"])
    scan = part(png(1700, 2200), "image/png", name="scan.png")
    assert account(mail(multipart(html, shown, scan)))[1:] == [
        ("image/png", "signature-image"),
        ("image/png", "unsupported"),
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (part(png(1700, 2200), "application/octet-stream", name="scan"), "image"),
        (part(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/octet-stream", name="old.doc"), "office"),
        (part(b"{\\rtf1", "text/plain", name="letter.rtf"), "office"),
        (part("Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1", name="a.txt"), "text"),
    ],
)
def test_what_can_be_made_into_pages_carries_its_bytes(content, kind):
    """Scans, office files and texts are handed on with their true kind; a text as UTF-8, whatever it came in."""
    item = only(mail(multipart(text(), content)))
    assert (item.kind, item.part.fate, item.part.reason) == (kind, Fate.REFUSED, Reason.UNSUPPORTED)
    assert item.data
    assert kind != "text" or item.data.decode() == "Grüße"


def test_a_part_says_what_was_opened_to_find_it():
    """The reply can tell a PDF from one of the same name inside winmail.dat."""
    content = mail(multipart(part(mails.winmail(("scan.pdf", ONE)), "application/ms-tnef", name="winmail.dat")))
    part_ = take_apart(content).items[0].part
    assert (part_.name, part_.size, part_.detail) == ("scan.pdf", len(ONE), {"inside": "winmail.dat"})


# -- names and headers are labels, safe to show


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("attachment; filename*=UTF-8''R%C3%A9sum%C3%A9.pdf", "Résumé.pdf"),
        ("attachment; filename*0*=UTF-8''R%C3%A; filename*1*=9sum%C3%A9; filename*2=.pdf", "Résumé.pdf"),
        ("attachment; filename*=iso-8859-1'de'B%FCro.pdf", "Büro.pdf"),
        ('attachment; filename="=?utf-8?B?UsOpc3Vtw6k=?= =?utf-8?Q?_2.pdf?="', "Résumé 2.pdf"),
        ('attachment; filename="=?utf-8?Q?R=C3?= =?utf-8?Q?=A9sum=C3=A9.pdf?="', "Résumé.pdf"),
        ('attachment; filename="Résumé.pdf"', "Résumé.pdf"),
        ("attachment; filename=My scan 1.pdf", "My scan 1.pdf"),
        ('attachment; filename="never closed.pdf', "never closed.pdf"),
        (r'attachment; filename="C:\scans\"A\".pdf"', r'C:\scans"A".pdf'),
        ("attachment;; filename=a.pdf;", "a.pdf"),
        ("attachment; filename=plain.pdf; filename*=utf-8''fancy.pdf", "fancy.pdf"),
        ('attachment; filename="a\x00b\u202efdp.\x1bpdf"', "a b fdp. pdf"),
        ("attachment; filename*=no-such-charset''%E9.pdf", "é.pdf"),
        ("attachment; filename*=punycode''abc.pdf", "abc.pdf"),
        (f'attachment; filename="{"x" * 300}.pdf"', "x" * 180 + "…" + "x" * 15 + ".pdf"),
    ],
)
def test_names_are_decoded_and_printable(field, name):
    """Every form of a name that mailers write is read, and none can turn, hide or break a line."""
    content = part(ONE).replace(b"attachment", field.encode(), 1)
    assert only(mail(multipart(text(), content))).part.name == name


def test_headers_are_safe_to_stand_in_a_reply():
    """Decoded, on one line, and message ids without anything that could be another header."""
    content = (
        b"Subject: =?utf-8?q?Fax_f=C3=BCr?=\r\n =?utf-8?q?_Sie=0D=0ABcc:_x?=\r\n"
        b"Message-ID: <1@office.example>\r\nReferences: <a@b>\r\n\t<c d@e> <f\xe9@g> <h@i>\r\n"
        b"From: =?iso-8859-1?Q?J=F6rg?= <j@office.example>\r\nAccept-Language: fr-CA, en-US;q=0.5\r\n\r\n"
    )
    headers = take_apart(content).headers
    assert headers.subject == "Fax für Sie Bcc: x"
    assert headers.from_ == "Jörg <j@office.example>"
    assert headers.message_id == "<1@office.example>"
    assert headers.references == ("<a@b>", "<h@i>")
    assert headers.languages == ("fr-CA", "en-US")


def test_in_reply_to_stands_in_for_references():
    """RFC 5322 section 3.6.4: a single id of In-Reply-To takes the place of missing References."""
    assert take_apart(b"In-Reply-To: <a@b>\r\n\r\n").headers.references == ("<a@b>",)
    assert take_apart(b"In-Reply-To: <a@b> <c@d>\r\n\r\n").headers.references == ()


def test_long_references_keep_the_first_and_the_last():
    """A thread of a thousand mails does not make a reply of a thousand lines."""
    references = take_apart(
        b"References: " + b" ".join(b"<%d@x>" % n for n in range(1000)) + b"\r\n\r\n"
    ).headers.references
    assert len(references) == 20
    assert references[0] == "<0@x>"
    assert references[-1] == "<999@x>"


# -- the sender's own words


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("Please sign.\r\n\r\n-- \r\nAnna\r\nOffice Ltd", "Please sign."),
        ("Yes.\r\n\r\nOn Mon, 3 Nov 2025 at 10:00, Bob <bob@x.example>\r\nwrote:\r\n> Really?\r\n> Yes?", "Yes."),
        ("Oui.\r\n\r\nLe lun. 3 nov. 2025 à 10:00, Bob a écrit :\r\n> Vraiment ?", "Oui."),
        ("> Really?\r\nYes.\r\n> And now?\r\nSend it.", "Yes.\nSend it."),
        ("Done.\r\n\r\n________________________________\r\nFrom: Bob\r\nSent: Monday\r\nTo: Anna\r\n\r\nOld", "Done."),
        ("Fait.\r\n\r\nDe : Bob\r\nEnvoyé : lundi\r\nÀ : Anna\r\n\r\nVieux", "Fait."),
        ("Look.\r\n-----Original Message-----\r\nOld", "Look."),
        ("Here.\r\n\r\nSent from my iPhone", "Here."),
        ("Sent from my iPhone\r\n\r\nStop.\r\n\r\n> On Monday Bob wrote:\r\n> Old", "Stop."),
        ("From: the mill\r\nwe bring flour.", "From: the mill\nwe bring flour."),
        ("A  \u202eB\x07", "A B"),
    ],
)
def test_quotes_and_signatures_are_left_out(words, kept):
    """The cover page carries what the sender wrote, without history and signature."""
    assert take_apart(mail(text(words))).text == kept


def test_html_is_read_when_there_is_no_text():
    """A mail of HTML alone has its words too, without what the reader of it does not see."""
    html = (
        "<html><head><title>No</title><style>p {}</style></head><body><!-- <b>no</b> --><p>Dear&nbsp;Bob,</p>"
        "<div>please <b>sign</b> &amp; send<br>this.</div><blockquote>On Monday<p>old</p></blockquote></body>"
    )
    assert take_apart(mail(text(html, "text/html"))).text == "Dear Bob,\n\nplease sign & send\nthis."


def test_plain_text_goes_before_html_and_forwarded_text_is_not_the_senders():
    """Of two forms the plain one is read, if it is not blank; what somebody else wrote stays out."""
    for blank in (" ", "\u00a0\r\n", "\u200b"):
        both = multipart(text(blank), text("<p>Rich", "text/html"), kind="alternative", boundary="a")
        assert take_apart(mail(both)).text == "Rich"
    both = multipart(text("Plain"), text("<p>Rich", "text/html"), kind="alternative", boundary="a")
    inner = b"Content-Type: message/rfc822\r\n\r\n" + mails.office_mail(ONE, words="Not mine")
    assert take_apart(mail(multipart(both, inner, boundary="o"))).text == "Plain"


def test_flowed_lines_are_joined():
    """RFC 3676: a line that ends in a blank goes on."""
    assert take_apart(mail(text("One \r\nline.\r\nTwo", "text/plain; format=flowed"))).text == "One line.\nTwo"


# -- bombs, and whatever else comes

N = 4_000_000


def attribute(name: int, data: bytes) -> bytes:
    """An attribute of a winmail.dat attachment."""
    return b"\2" + name.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data + b"\0\0"


START = b"Content-Type: application/ms-tnef\r\n\r\n\x78\x9f\x3e\x22\0\0" + attribute(0x9002, b"")
BOMBS = {
    "a thousand levels": b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)),
    "a thousand forwards": b"Content-Type: message/rfc822\r\n\r\n" * 1000,
    "encoded forwards": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" * 25 + b"x" * N,
    "a million parts": multipart(boundary="b") + b"--b\r\n\r\n" * (N // 8),
    "false boundaries": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + b"\n--xx" * (N // 5),
    "endless header": b"Subject: x\r\n" + b" x\r\n" * (N // 4),
    "header of fields": b"a:\r\n" * (N // 4),
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 18_000 + b"\r\n\r\n",
    "pieces of a name": b"Content-Type: a/b;" + b"".join(b" name*%d*=a;" % n for n in range(17_000)) + b"\r\n\r\nx",
    "parameters": b"Content-Type: a/b" + b';a="\\' * 50_000 + b"\r\n\r\nx",
    "base64 of padding": b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"AA==\r\n" * (N // 6),
    "quoted-printable blanks": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b" " * N,
    "files that never start": b"\r\n" + b"begin 644 x\n" * (N // 12),
    "files of nothing": b"\r\nbegin 644 x\n" + b"\n" * N,
    "open tags": b"Content-Type: text/html\r\n\r\n" + b"<a <!-- <style>" * (N // 15),
    "endless entity": b"Content-Type: text/html\r\n\r\n&#" + b"9" * N,
    "quotes": b"\r\n" + b">\r\nOn a:\r\n" * (N // 10),
    "parts that PDFs left": b"\r\n" + b"%PDF-1.4 \r\nJVBERi0A\r\n" * (N // 20),
    "four billion properties": START + attribute(0x9005, b"\xff" * 4 + b"\3\0\1\x30aaaa" * (N // 8)),
    "four billion values": START + attribute(0x9005, b"\xff" * 4 + b"\x02\x10\1\x30\xff\xff\xff\xff" + bytes(N)),
    "four billion strings": START + attribute(0x9005, b"\xff" * 4 + b"\x1e\x10\1\x30\xff\xff\xff\xff" + bytes(N)),
    "attributes of nothing": START + attribute(0x9002, b"") * (N // 11),
    "endless BER": b"Content-Type: application/pkcs7-mime\r\n\r\n" + bytes.fromhex("3080 0609 2a864886f70d010702 a080") + b"\x30\x80" * (N // 2),
    "a picture of headers": b"Content-Type: image/jpeg\r\n\r\n\xff\xd8" + b"\xff\xe0\0\2" * (N // 4),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_little(bomb):
    """Four megabytes made to cost time: a verdict comes within seconds of processor time, or a clear refusal."""
    start = time.process_time()
    accounted(BOMBS[bomb])
    assert time.process_time() - start < 6


@pytest.mark.parametrize(
    ("limits", "content"),
    [
        (MimeLimits(depth=2), multipart(multipart(multipart(text(), boundary="c"), boundary="b"), boundary="a")),
        (MimeLimits(parts=3), multipart(text(), text(), text())),
        (MimeLimits(header_bytes=300), b"Subject: " + b"x" * 300 + b"\r\n\r\n"),
        (MimeLimits(header_fields=5), b"A: b\r\n" * 6 + b"\r\n"),
        (MimeLimits(decoded_bytes=500), multipart(text(), part(ONE))),
    ],
)
def test_each_limit_refuses_the_mail(limits, content):
    """What is over a limit is refused as a whole, by name."""
    with pytest.raises(Permanent) as refusal:
        take_apart(content, limits)
    assert refusal.value.reason is Reason.MAIL_BOMB


def test_a_bomb_inside_a_container_is_found_too():
    """The limits count through every container."""
    bomb = mails.winmail(*[("a", b"x")] * 2000)
    with pytest.raises(Permanent):
        take_apart(mail(part(bomb, "application/ms-tnef")))


def test_a_large_mail_is_not_copied_about():
    """A decoded PDF is three quarters of its mail; nothing else of that size is kept, and little more at once."""
    import tracemalloc

    content = mail(multipart(text(), part(b"%PDF-1.4\n" + bytes(range(256)) * 20_000)))
    tracemalloc.start()
    take_apart(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.9 * len(content)


WORDS = st.sampled_from(
    [
        b"\r\n", b"\n", b"\r", b"--b", b"--b\r\n", b"--b--\r\n", b"--", b" ", b"\t", b"\0", b"\xff", b"=", b"==", b"=\r\n", b"%",
        b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/alternative; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: application/pdf\r\n", b"Content-Type: text/html\r\n",
        b"Content-Type: application/ms-tnef\r\n", b"Content-Type: application/pkcs7-mime\r\n", b"Content-Type: ", b"Subject: ",
        b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n", b"Content-Disposition: attachment; filename*0*=utf-8''a", b"; charset=hz",
        b"JVBERi0xLjQKJeLjz9MKMSAwIG9iago8PCA=\r\n", b"%PDF-1.4\n1 0 obj\n", b"begin 644 a.pdf\n", b"#86)C\n", b"`\nend\n", b'"', b";",
        b"=?utf-8?q?", b"?=", b"=?hz?b?fn4=?=", b"Message-ID: <", b">", b"<", b"&#", b"9" * 5000, b"-- \n", b"On a wrote:\n", b"From: a\nSent: b\n",
        b"\x78\x9f\x3e\x22\0\0", b"\2\2\x90\6\0\0\0\0\0\0\0", b"\2\5\x90\6\0\x10\0\0\0", b"\xff\xff\xff\xff", b"\x30\x80", b"\x24\x80", b"\4\1a",
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", b"\xff\xd8\xff\xe0\0\2", b"\x89PNG\r\n\x1a\n", b"BM", b"PK\3\4",
    ]
)  # fmt: skip


@settings(max_examples=1500, deadline=2000, derandomize=True)
@given(st.lists(WORDS | st.binary(max_size=12), max_size=60).map(b"".join))
def test_whatever_comes_there_is_an_account(content):
    """No bytes make anything else than an account, or a refusal as a bomb."""
    for item in accounted(content):
        assert (item.part.fate is Fate.FAXED) == (item.kind == "pdf")
        assert (item.part.reason is None) == (item.kind == "pdf")
        assert bool(item.data) == bool(item.kind)
        assert item.part.name.isprintable()


@settings(max_examples=600, deadline=2000, derandomize=True)
@given(st.sampled_from(sorted(WRAPPINGS)), st.data())
def test_a_damaged_mail_is_still_an_account(wrapping, data):
    """Bytes cut out of, or put into, a good mail never make it fail."""
    content = mail(WRAPPINGS[wrapping])
    at = data.draw(st.integers(0, len(content)))
    end = min(len(content), at + data.draw(st.integers(0, 400)))
    accounted(content[:at] + data.draw(st.binary(max_size=8)) + content[end:])


def test_the_alphabet_for_addresses_is_read():
    """RFC 4648 section 5, in a body that says nothing of it, or calls it base64."""
    data = ONE + b"\xff\xfe\xfb" * 9
    body = base64.urlsafe_b64encode(data)
    assert b"_" in body
    unlabelled = mail(multipart(text(), part(body, encoding="8bit", name="scan.pdf")))
    assert documents(unlabelled) == documents(unlabelled.replace(b"8bit", b"base64")) == [data]


@pytest.mark.parametrize("footer", [b"--------\r\nlist footer", b"________________\r\nlist-of-all-fax\r\nwww"])
def test_a_list_server_s_footer_is_no_part_of_base64(footer):
    """Be it ruled off with signs of the alphabet for addresses."""
    words = b"Please fax this list.\n" * 8
    assert transfer.decode(base64.encodebytes(words) + footer, "base64") == words


LONG = ONE + b"%" + b"x" * 5000 + b"\n"


def test_outlook_s_own_files_are_opened():
    """A mail saved as .msg, and one that is attached to another; a damaged one is told."""
    one = part(outlook(("scan.pdf", LONG)), "application/vnd.ms-outlook", name="Invoice.msg")
    within = part(outlook(("first.pdf", LONG), (None, outlook_within(LONG))), name="Fw.msg")
    (item,) = take_apart(mail(multipart(text(), one))).items[1:]
    assert (item.data, item.part.name, item.part.detail) == (LONG, "scan.pdf", {"inside": "Invoice.msg"})
    assert documents(mail(multipart(text(), within))) == [LONG, LONG]
    broken = outlook(("scan.pdf", LONG))
    damaged = mail(part(broken[:48] + b"\xff" * 20 + broken[68:], name="Invoice.msg"))
    assert only(damaged).part.reason is Reason.DAMAGED


# -- what looks like a file and is the mail's text, or nothing

TEXTS = {
    "an empty text": part(b"\r\n", "text/plain", name="notes.txt"),
    "a text file without a byte": part(b"", "text/plain", name="ATT00001.txt"),
    "the same in HTML, from a filter": part(b"", "text/html", name="disclaimer.html"),
    "what Exchange makes of the rest": part(b"Kind regards", "text/plain", name="ATT00001.txt"),
    "the same in HTML": part(b"<html><p>&nbsp;</html>", "text/html", name="ATT00002.htm"),
    "a disclaimer": part(b"This mail is confidential.", "text/plain; charset=us-ascii", disposition="attachment"),
    "GNU mail's empty message": part(b"", "application/pdf", disposition=""),
    "GNU mail's message": part(b"See the file.\n", "application/pdf", disposition=""),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_part_that_is_the_mail_s_text_is_no_document(case):
    """It is never a reason to refuse, and no line says "refused"."""
    items = take_apart(mail(multipart(TEXTS[case], part(ONE, name="a.pdf")))).items
    assert [item.part.reason for item in items] == [Reason.MAIL_TEXT, None]
    assert items[1].kind == "pdf"


def test_an_empty_pdf_by_name_is_still_told():
    """Who attached "invoice.pdf" must hear that it came empty; and a text that claims to be a PDF, alone, is none."""
    assert only(mail(multipart(text(), part(b"", name="invoice.pdf")))).part.reason is Reason.EMPTY
    assert only(mail(multipart(text(), part(b"", "text/csv", name="prices.csv")))).part.reason is Reason.EMPTY
    assert only(mail(part(b"See the file.", "application/pdf", disposition=""))).part.reason is Reason.NOT_A_PDF


def test_a_piece_of_a_split_mail_has_words_of_its_own():
    """RFC 2046 section 5.2.2: the advice is about the splitting, not about a file."""
    piece = part(B64, 'message/partial; id="x"; number=2; total=3', encoding="", disposition="")
    assert only(mail(piece)).part.reason is Reason.SPLIT_MAIL


def test_yenc_is_named():
    """Nobody decodes it here, but a file is not passed over in silence."""
    body = "see\n=ybegin line=128 size=9 name=scan.pdf\nabcdefghi\n=yend size=9\n"
    item = only(mail(text(body)))
    assert (item.part.name, item.part.reason) == ("scan.pdf", Reason.NOT_REACHABLE)


SCAN = b"II*\0" + b"\0" * 500


def test_a_picture_that_no_html_shows_was_attached():
    """In multipart/related too; a TIFF is a scan wherever it stands; what the HTML shows stays its decoration."""

    def related(data: bytes, kind: str, page: str) -> list[str]:
        shown = part(data, kind, name="scan", disposition="inline", headers=["Content-ID: <scan@x>"])
        return [
            item.kind for item in take_apart(mail(multipart(text(page, "text/html"), shown, kind="related"))).items
        ][1:]

    assert related(png(1000, 1400), "image/png", "<p>no picture") == ["image"]
    assert related(png(1000, 1400), "image/png", '<img src="cid:scan@x">') == [""]
    assert related(SCAN, "image/tiff", '<img src="cid:scan@x">') == ["image"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('application/pdf name="scan 1.pdf"', "scan 1.pdf"),
        ("application/pdf; name*0==?UTF-8?Q?Gr=C3=BC; name*1=n.pdf?=", "Grün.pdf"),
    ],
)
def test_names_are_found_in_broken_fields(header, name):
    """A missing semicolon, an encoded word in pieces."""
    assert only(mail(multipart(text(), part(ONE, header, disposition="")))).part.name == name


# -- archives

OPEN = MimeLimits(archives=True)


def test_a_zip_is_opened_where_the_settings_say_so():
    """Its files are attachments; what file managers leave behind is none; otherwise it is told that it stays closed."""
    files = zipped(
        ("in/a.pdf", ONE), ("__MACOSX/._a.pdf", b"x"), ("b.exe", b"MZ\x90"), ("c.zip", zipped(("d.pdf", TWO)))
    )
    content = mail(multipart(text(), part(files, "application/zip", name="scans.zip")))
    assert only(content).part.reason is Reason.NOT_REACHABLE
    items = take_apart(content, OPEN).items[1:]
    assert [(item.part.name, item.kind) for item in items] == [("a.pdf", "pdf"), ("b.exe", ""), ("d.pdf", "pdf")]
    assert items[0].data == ONE
    assert items[0].part.detail["inside"] == "scans.zip"


def test_zips_that_are_bombs_end_in_words():
    """Too many files, too large when unpacked whatever it says, too deep."""
    large = zipped(*((f"{n}", bytes(30_000_000)) for n in range(6)))
    many = zipped(*((str(n), b"") for n in range(1500)))
    deep = ONE
    for _ in range(40):
        deep = zipped(("a.zip", deep), method=zipfile.ZIP_STORED)
    for bomb in (large, many, deep):
        with pytest.raises(Permanent) as verdict:
            take_apart(mail(part(bomb, "application/zip", name="a.zip")), OPEN)
        assert verdict.value.reason is Reason.MAIL_BOMB


def test_locked_and_damaged_zips_are_told():
    """Each file has its own verdict."""
    sound = zipped(("a.pdf", ONE * 20))
    locked = bytearray(sound)
    for start, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[sound.index(start) + flags] |= 1
    damaged = sound[:60] + b"\0\0\0\0" + sound[64:]
    for data, reason in (
        (bytes(locked), Reason.LOCKED),
        (damaged, Reason.DAMAGED),
        (b"PK\3\4" + b"x" * 90, Reason.DAMAGED),
    ):
        (item,) = take_apart(mail(part(data, "application/zip", name="a.zip")), OPEN).items
        assert item.part.reason is reason


def test_xps_is_of_a_kind_that_is_not_faxed():
    """It is no box with a PDF in it: the advice is to save it as one."""
    item = only(mail(part(zipped(("FixedDocSeq.fdseq", b"<a/>")), "application/octet-stream", name="a.xps")))
    assert (item.part.reason, item.part.kind) == (Reason.UNSUPPORTED, "application/vnd.ms-xpsdocument")
