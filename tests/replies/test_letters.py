"""The replies: what they say, in which thread, and that nothing of a mail can make them say something else."""

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from email.header import decode_header, make_header
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from mail2fax.config import FaxLine, Provider, Reply, Settings, Smtp
from mail2fax.model import Envelope, Fate, Headers, Part, Reason, State
from mail2fax.replies import bodies, samples
from mail2fax.replies.headers import clean, message_id, open_letter, verbatim, written
from mail2fax.replies.letters import Letters
from mail2fax.rules.answer_text import Doubt
from tests.support import goldens

MESSAGE, DELIVERED, FAILED, UNKNOWN = samples.MESSAGE, samples.DELIVERED, samples.FAILED, samples.UNKNOWN
FIELDS = {
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("In-Reply-To", "References", "Reply-To", "MIME-Version", "Content-Type", "Content-Language"),
}
ENGLISH = Letters(Settings(), goldens.SECRET)


letters = goldens.letters


sent = goldens.sent


def text(letter):
    return goldens.body(letter, "plain")


def html(letter):
    return goldens.body(letter, "html")


def words(letter):
    """The text, without its line breaks."""
    return " ".join(text(letter).split())


def words_of(letter):
    """The same of a mail that has no HTML."""
    return " ".join(sent(letter).get_content().split())


def about(message=MESSAGE, **headers):
    return replace(message, headers=replace(message.headers, **headers))


# -- golden files


@pytest.mark.parametrize(("name", "found"), list(goldens.goldens()), ids=lambda value: value[:24].partition("\n")[0])
def test_every_outcome_language_and_format_is_as_it_was_read(name, found):
    """A person has read each of these; `python -m tests.goldens` writes them anew."""
    golden = (goldens.FOLDER / name).read_text("utf-8")
    assert goldens.fits(golden, found) is None


def test_no_golden_file_is_left_over():
    """What is no longer written is no longer kept."""
    assert {path.name for path in goldens.FOLDER.iterdir()} == {name for name, _ in goldens.goldens()}


# -- header and thread


def test_a_reply_stands_in_the_thread_of_its_mail():
    """In-Reply-To is the mail, References its ancestors and the mail (RFC 5322 section 3.6.4)."""
    ancestors = tuple(f"<{n}@office.example>" for n in range(3))
    reply = sent(ENGLISH.outcome(about(references=ancestors), [DELIVERED]))
    assert reply["In-Reply-To"] == MESSAGE.headers.message_id
    assert reply["References"].split() == [*ancestors, MESSAGE.headers.message_id]


@pytest.mark.parametrize("bad", ["", "no brackets", "<a b@c>", "<a@b>\r\nBcc: x@y", "<" + "a" * 300 + "@b>"])
def test_a_mail_without_a_usable_id_is_answered_without_a_thread(bad):
    """Neither In-Reply-To nor References are made up."""
    reply = sent(ENGLISH.outcome(about(message_id=bad), [DELIVERED]))
    assert reply["In-Reply-To"] is None and reply["References"] is None


def test_long_threads_and_long_ids_stay_readable():
    """Ids are never encoded or cut, lines are folded between them, and a thread of hundreds is shortened."""
    ids = tuple(f"<{'x' * 200}.{n}@a-mail-server-with-a-long-name.example>" for n in range(300))
    raw = ENGLISH.outcome(about(references=ids, message_id=ids[-1]), [DELIVERED])
    references = sent(raw)["References"].split()
    assert references[0] == ids[0] and references[-1] == ids[-1] and len(references) == 20
    assert b"=?" not in raw.partition(b"\r\n\r\n")[0]


def test_the_message_id_is_the_same_at_every_attempt():
    """A copy is known as a copy; another outcome of the same fax is another mail."""
    ids = [
        sent(ENGLISH.outcome(MESSAGE, [fax]))["Message-ID"]
        for fax in (DELIVERED, replace(DELIVERED, now=DELIVERED.finished_at + timedelta(hours=1)))
    ]
    assert ids == [f"<delivered.{DELIVERED.id}@fax.local>"] * 2
    resolved = sent(ENGLISH.outcome(MESSAGE, [replace(UNKNOWN, state=State.FAILED)]))["Message-ID"]
    assert len({*ids, resolved, sent(ENGLISH.outcome(MESSAGE, [UNKNOWN]))["Message-ID"]}) == 3
    first, second = (
        sent(ENGLISH.outcome(MESSAGE, faxes))["Message-ID"] for faxes in (samples.SUMMARY, [DELIVERED, DELIVERED])
    )
    assert first != second and first == sent(ENGLISH.outcome(MESSAGE, samples.SUMMARY))["Message-ID"]
    assert message_id("a b", "x<>@y", "fax.local") == "<a-b.x-y@fax.local>"


def test_no_machine_answers_a_reply():
    """RFC 3834: auto-replied, from the configured person, never from a number; Exchange is asked too."""
    for letter in (
        ENGLISH.outcome(MESSAGE, [DELIVERED]),
        ENGLISH.delayed(MESSAGE, samples.WAITING, next_at=MESSAGE.received_at),
    ):
        reply = sent(letter)
        assert reply["Auto-Submitted"] == "auto-replied" and reply["X-Auto-Response-Suppress"] == "All"
        assert reply["From"] == "Fax <fax@fax.local>" and reply["To"] == "anna@clinic.example"
        assert DELIVERED.number not in reply["From"] + str(reply["Reply-To"])
    assert sent(ENGLISH.admin("line-held", {"cause": "token"}))["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    ("letter", "subject"),
    [
        (ENGLISH.outcome(MESSAGE, [DELIVERED]), "Faxed to (647) 495-9659: Lab results"),
        (ENGLISH.outcome(MESSAGE, [FAILED]), "Not faxed to (647) 495-9659: Lab results"),
        (ENGLISH.outcome(about(subject=""), [UNKNOWN]), "Unclear: (647) 495-9659"),
        (ENGLISH.outcome(MESSAGE, samples.SUMMARY), "Faxed to 1 of 3 numbers: Lab results"),
        (letters(language="fr").outcome(MESSAGE, [DELIVERED]), "Télécopié au (647) 495-9659 : Lab results"),
    ],
)
def test_the_subject_says_the_outcome_first(letter, subject):
    """Outcome, number as people write it, and the sender's own subject."""
    assert sent(letter)["Subject"] == subject


@settings(max_examples=150, deadline=None)
@given(strategies.text(max_size=400))
def test_any_subject_comes_back_as_it_was(subject):
    """Encoded words stay whole: a mail program reads what the sender wrote, but for what cannot be shown."""
    head = open_letter("Fax <fax@fax.local>", "a@b.ca", f"Faxed: {subject}", MESSAGE.received_at, "<1@fax.local>")
    assert head.isascii() and max(map(len, head.split("\r\n"))) <= 78
    field = re.search(r"^Subject: (.*?)\r\n(?! )", head, re.MULTILINE | re.DOTALL)[1]
    shown = str(make_header(decode_header(field.replace("\r\n", ""))))
    assert " ".join(shown.split()) == clean(f"Faxed: {subject}")


nasty = strategies.text(
    strategies.sampled_from("\r\n\0\t<>\"'&{}%=?:;,@ aé\u2028\u202e\udc80\x85"), max_size=40
) | strategies.sampled_from(
    [
        "x\r\nBcc: evil@example.org",
        "</td><script>alert(1)</script>",
        "{{ 7777*3 }}",
        "%(number)s",
        "=?utf-8?q?=0D=0ABcc:?=",
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(strategies.data())
def test_nothing_of_a_mail_can_write_a_header_or_html(data):
    """Whatever subject, names, addresses and details hold, the fields stay ours and HTML stays text."""
    draw = lambda: data.draw(nasty)  # noqa: E731
    message = replace(
        MESSAGE,
        envelope=Envelope(f"{draw()}@office.example", (), "192.0.2.1", helo=draw(), envid=draw()),
        headers=Headers(draw(), draw(), (draw(), draw()), draw(), draw(), (draw(),)),
        parts=(Part(draw(), draw(), 1, Fate.REFUSED, Reason.UNSUPPORTED, {"kind": draw()}, notes=(draw(),)),),
    )
    asked = frozenset({"FAILURE"})
    fax = replace(
        FAILED,
        recipient=draw(),
        provider_ref=draw(),
        detail={"http": draw()},
        orcpt=draw(),
        progress=draw(),
        reason=Reason.PROVIDER_REFUSED,
    )
    for one in (fax, replace(fax, notify=asked)):
        raw = letters(json_part=True).outcome(message, [one])
        reply = sent(raw)
        assert set(reply.keys()) <= FIELDS and len(reply.keys()) == len(set(reply.keys()))
        shown = reply.get_body(("html",)).get_content()
        assert "<script" not in shown and "23331" not in shown
        _Balanced().feed(shown)
        assert not re.search(rb"(?m)^Bcc", raw)


@pytest.mark.parametrize("pattern", ["*@clinic.example", "ANNA@*", "anna@clinic.example"])
def test_the_language_is_chosen_by_sender_first(pattern):
    """[reply] languages, then language, then what the mail says, then English."""
    french = about(languages=("fr-CA", "en"))
    assert words(letters(languages={pattern: "fr"}, language="en").outcome(MESSAGE, [DELIVERED])).startswith("Votre")
    signed = replace(MESSAGE, envelope=replace(MESSAGE.envelope, reverse_path="prvs=1234567890=anna@clinic.example"))
    assert words(letters(languages={pattern: "fr"}).outcome(signed, [DELIVERED])).startswith("Votre")
    assert words(letters(language="en").outcome(french, [DELIVERED])).startswith("Your")
    assert words(ENGLISH.outcome(french, [DELIVERED])).startswith("Votre")
    assert words(ENGLISH.outcome(about(languages=("de", "fr", "en")), [DELIVERED])).startswith("Votre")
    assert words(ENGLISH.outcome(about(languages=("de",)), [DELIVERED])).startswith("Your")


# -- what is said


def test_of_a_good_fax_little_is_told():
    """Number, pages, when it was sent in the configured zone, and a reference to give: nobody needs more."""
    there = letters(time_zone="America/Vancouver").outcome(MESSAGE, [DELIVERED])
    for said in (words(there), re.sub(r"</?span[^>]*>", "", html(there))):
        for fact in ("(647) 495-9659", "November 23, 2026, 12:05 p.m. UTC-07:00", DELIVERED.id):
            assert fact in said
        assert "the fax of 3 pages was sent" in said and "confirm" not in said
        assert "Attempts" not in said and DELIVERED.provider_ref not in said and "12:03" not in said
    assert "the fax of 1 page was sent" in words(ENGLISH.outcome(MESSAGE, [replace(DELIVERED, pages=1)]))


def test_of_a_failure_all_that_is_known_is_told():
    """Times, attempts, and the references by which others find it."""
    fax = replace(FAILED, retry_of="7DQ2M4X9KT1B8-9")
    for said in (words(ENGLISH.outcome(MESSAGE, [fax])), html(ENGLISH.outcome(MESSAGE, [fax]))):
        for fact in ("2:03 p.m. UTC-05:00", "2:05 p.m. UTC-05:00", fax.id, fax.provider_ref, fax.retry_of):
            assert fact in said
        assert "could not be sent completely" in said and "Some pages may have arrived" in said
    assert re.search(r"Attempts +2\n", text(ENGLISH.outcome(MESSAGE, [fax])))


def test_each_part_is_accounted_for():
    """Faxed, left out, held back or not faxed; why; and what to do, by the file's name."""
    said = words(goldens.letter("refused", "en"))
    for fact in (
        "Lab results.pdf (PDF, 184 kB): held back Nothing is wrong with this file.",
        "Consent form.pdf (PDF, 92 kB): not faxed Consent form.pdf is locked with a password",
        "choose Print > Save as PDF",
        "Letter.docx (Word document, 18 kB): not faxed",
        "In Word, choose File > Save As > PDF",
        "The text of the mail itself is not faxed; only attachments are.",
    ):
        assert fact in said
    assert said.count("The text of the mail") == 1 and said.index("Letter.docx") < said.index("The text of the mail")


KINDS = {
    "Letter.docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "Word document"),
    "Old.doc": ("application/msword", "Word document"),
    "Books.xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Excel workbook"),
    "Talk.pptx": ("application/octet-stream", "PowerPoint presentation"),
    "Note.odt": ("application/vnd.oasis.opendocument.text", "LibreOffice document"),
    "Note.pages": ("application/zip", "Apple document"),
    "IMG_1.HEIC": ("image/heic", "iPhone photo"),
    "Mail.msg": ("application/vnd.ms-outlook", "Outlook message"),
    "clip.mov": ("video/quicktime", "video"),
    "voice.m4a": ("audio/mp4", "sound recording"),
    "docs.zip": ("application/zip", "ZIP file"),
    "page.html": ("text/html", "web page"),
    "note.rtf": ("text/rtf", "RTF document"),
    "thing.dwg": ("image/vnd.dwg", "picture"),
    "x.bin": ("application/octet-stream", "file"),
}


@pytest.mark.parametrize("language", goldens.LANGUAGES)
@pytest.mark.parametrize("name", KINDS)
def test_no_letter_names_a_type_or_a_code(name, language):
    """What cannot be faxed is called what people call it, by its name, with what to do: never a MIME type, never "it"."""
    kind, called = KINDS[name]
    part = Part(name, kind, 9_000, Fate.REFUSED, Reason.UNSUPPORTED, {"kind": kind})
    fax = replace(samples.REFUSED, reason=Reason.NOTHING_FAXABLE)
    letter = letters(language=language).outcome(replace(MESSAGE, parts=(part,)), [fax])
    said = words(letter)
    assert kind not in said and "application/" not in said and "HTTP" not in said
    assert language == "fr" or called in said
    _headline, _, lead = text(letter).partition("\n\n")
    assert lead.startswith(name)


def test_no_letter_names_what_the_provider_s_server_answered():
    """Neither code nor jargon: too large is said so."""
    refused = replace(FAILED, reason=Reason.PROVIDER_REFUSED, submitted_at=None)
    said = words(ENGLISH.outcome(MESSAGE, [replace(refused, reason=Reason.TOO_LARGE, detail={"http": 413})]))
    assert "too large for the fax provider" in said and "413" not in said
    said = words(ENGLISH.outcome(MESSAGE, [replace(refused, detail={"http": 422})]))
    assert "The fax provider refused it." in said and "422" not in said


def test_whoever_waits_for_a_broken_line_hears_that_somebody_knows():
    """Only where somebody does: [reply] admin."""
    for admin in ("", "admin@office.example"):
        waiting = replace(samples.WAITING, reason=Reason.LINE_HELD)
        said = words(letters(admin=admin).delayed(MESSAGE, waiting, next_at=None))
        assert ("Your administrator has been told." in said) is bool(admin)


def test_nothing_is_offered_that_could_not_help():
    """The provider refused this document, or could make no pages of it: the same once more would fare no better."""
    for changes in ({"reason": Reason.PROVIDER_REFUSED}, {"detail": {"cause": "document"}}):
        letter = ENGLISH.outcome(MESSAGE, [replace(FAILED, **changes)])
        assert sent(letter)["Reply-To"] is None and "send the same document again" not in words(letter)
    assert "send the same document again" in words(ENGLISH.outcome(MESSAGE, [FAILED]))


def test_a_fax_short_of_an_attachment_is_never_simply_delivered():
    """[documents] incomplete = "send": subject and first sentence say that it was in part, and what is missing."""
    for language, subject in (("en", "Faxed in part to (647) 495-9659"), ("fr", "Envoi partiel : (647) 495-9659")):
        letter = goldens.letter("in-part", language)
        assert sent(letter)["Subject"].startswith(subject)
        assert "Letter.docx" in text(letter).split("\n\n")[1]
    assert "You do not need to do anything" not in words(goldens.letter("in-part", "en"))


@pytest.mark.parametrize("language", goldens.LANGUAGES)
@pytest.mark.parametrize("name", sorted(set(goldens.CASES) - {"summary"}))
def test_the_number_stands_where_a_phone_shows_it(name, language):
    """Within the first 35 characters of every subject."""
    subject = sent(goldens.letter(name, language))["Subject"]
    shown = {"mistyped": "416555010", "mistyped-on": "416555010", "corrected": "(416) 555-0100"}
    assert shown.get(name, "(647) 495-9659") in subject[:35]


def test_a_link_is_no_file():
    """Whoever sends a link to a cloud drive is told so."""
    assert "holds a link, not a file" in words(goldens.letter("link", "en"))
    assert "no document attached" in words(goldens.letter("nothing", "en"))


def test_what_is_being_sent_is_not_said_to_wait():
    """The provider has it: since when, and its word; no time of another attempt, and no offer to cancel what cannot be."""
    letter = goldens.letter("sending", "en")
    said = words(letter)
    assert 'has had it since November 23, 2026, 2:03 p.m. UTC-05:00 and says "Sending"' in said
    assert "Next attempt" not in said and "cancel" not in said.lower() and sent(letter)["Reply-To"] is None
    assert "Next attempt" not in words(goldens.letter("held", "en")) + words(goldens.letter("out-of-order", "en"))


def test_the_administrator_is_told_what_to_do():
    """Which line, which file, which command, and when it works again."""
    held = goldens.letter("line-held", "en")
    assert sent(held)["Subject"] == "mail2fax: faxes wait, the provider refuses the token of line accounting"
    for fact in (
        '[[line]] "accounting" token_file',
        "/etc/mail2fax/accounting.token",
        "systemctl restart mail2fax",
        "mail2fax list",
        "when the line works again",
    ):
        assert fact in words_of(held)
    for name, subject, what in (
        ("no-credit", "the account of line default has no credit", "Pay at the provider"),
        ("no-api", "the provider's address of line default is wrong", "mail2fax check systemctl restart mail2fax"),
        ("no-line", "line lab is out of order", "Mend what it names"),
    ):
        broke = goldens.letter(name, "en")
        assert sent(broke)["Subject"] == f"mail2fax: faxes wait, {subject}"
        said = words_of(broke)
        assert what in said and "HTTP" not in said and "token" not in said and samples.ALERTS[name]["note"] in said
    assert "mail2fax show" in words_of(goldens.letter("undeliverable", "en"))


def test_parts_are_faxed_only_when_the_fax_was():
    """A part of a fax that was not sent is "readable", never "faxed"."""
    assert "Lab results.pdf (PDF, 184 kB): faxed, 3 pages" in words(ENGLISH.outcome(MESSAGE, [DELIVERED]))
    for fax in (FAILED, UNKNOWN, samples.CANCELLED):
        assert ": faxed" not in words(ENGLISH.outcome(MESSAGE, [fax]))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"pages_sent": 2, "pages": 3}, "2 of 3 pages went"),
        ({}, "Some pages may have arrived"),
        ({"pages_sent": 0}, "Nothing was sent"),
    ],
)
def test_what_was_stopped_at_the_provider_may_have_gone_in_part(told, said):
    """It was in the middle of it, perhaps: that nothing was sent is said only where the provider says so."""
    stopped = replace(samples.CANCELLED, reason=Reason.CANCELLED_BY_OPERATOR, detail={"cause": "cancelled"} | told)
    text = words(ENGLISH.outcome(samples.MESSAGE, [stopped]))
    assert said in text and ("Nothing was sent" in text) == (told.get("pages_sent") == 0)
    assert "Nothing was sent" in words(ENGLISH.outcome(samples.MESSAGE, [replace(stopped, detail={})]))


def test_a_failure_without_a_reason_is_not_explained():
    """The provider gives no reason, so none is claimed; the usual ones are named as such."""
    said = words(ENGLISH.outcome(MESSAGE, [FAILED]))
    usual = "gives no reason; usual ones are a busy line, no answer or a wrong number."
    assert usual in said
    assert not re.search(r"busy|no answer|voice|tone|paper|engaged", said.replace(usual, ""), re.IGNORECASE)


def test_an_unknown_outcome_is_told_honestly():
    """It may have arrived, it was not sent again, and how to send it again; never "failed"."""
    said = words(ENGLISH.outcome(MESSAGE, [UNKNOWN]))
    for fact in (
        "We do not know whether",
        "may or may not have arrived",
        "was not sent again",
        "Ask the recipient",
        "reply to this mail",
    ):
        assert fact in said
    assert not re.search(r"\bfailed\b|not sent\.", said)


def test_a_delayed_fax_says_when_it_is_tried_next():
    """The next attempt's time, and how to cancel."""
    said = words(goldens.letter("delayed", "en"))
    assert "Next attempt: November 23, 2026, 2:19 p.m. UTC-05:00" in said and "To cancel this fax" in said


def test_a_fax_that_is_dialled_again_says_why_and_not_that_it_was_not_accepted():
    """The provider took it, and the line was busy: our own next call is what is waited for."""
    waiting = replace(samples.WAITING, detail={"redials": 1, "cause": "busy"})
    said = words(ENGLISH.delayed(MESSAGE, waiting, next_at=samples.ACCEPTED))
    assert "The line was busy. Next attempt:" in said and "not accepted" not in said


def test_a_summary_tells_each_number_and_its_way_back():
    """Every number with its outcome; those that did not arrive with an address to send again."""
    letter = ENGLISH.outcome(MESSAGE, samples.SUMMARY)
    said = text(letter)
    assert all(
        state in said for state in ("(647) 495-9659  delivered", "(416) 555-1234  not sent", "(800) 555-1234  unclear")
    )
    assert said.count("resend+") == 2 and html(letter).count("mailto:resend+") == 2
    assert sent(letter)["Reply-To"] is None


def test_what_has_no_document_cannot_be_sent_again():
    """No way back is offered where there is nothing to send, after delivery, or when the administrator wants none."""
    for letter in (
        ENGLISH.outcome(MESSAGE, [samples.REFUSED]),
        ENGLISH.outcome(MESSAGE, [DELIVERED]),
        letters(resend=False).outcome(MESSAGE, [FAILED]),
        letters(resend=False).delayed(MESSAGE, samples.WAITING, next_at=MESSAGE.received_at),
    ):
        assert sent(letter)["Reply-To"] is None and "mailto:" not in html(letter)


def test_what_may_arrive_twice_takes_a_word():
    """An unclear fax, and one that was sent again already, ask for SEND on the first line; others for an answer."""
    for language, word in (("en", "SEND"), ("fr", "RENVOYER")):
        made = letters(language=language)
        first, line = ("on the first line", "just the word") if language == "en" else ("première ligne", "le seul mot")
        for fax in (UNKNOWN, replace(FAILED, retry_of="7DQ2M4X9KT1B8-9")):
            letter = made.outcome(MESSAGE, [fax])
            assert f"{word} " in words(letter) and first in words(letter) and line not in words(letter)
            assert f"body={word}" in html(letter) and sent(letter)["Reply-To"].startswith("resend+")
        assert line in words(made.outcome(MESSAGE, [FAILED]))


def test_an_answer_is_confirmed_or_said_not_to_be_understood():
    """At once, with the way to ask; and what was passed on, to whom."""
    sending = ENGLISH.again(MESSAGE, replace(samples.WAITING, retry_of=FAILED.id))
    assert sent(sending)["Subject"] == "Sending again: (647) 495-9659: Lab results"
    assert sent(sending)["Reply-To"] is None and "You will get another mail" in words(sending)
    unclear = ENGLISH.passed_on(MESSAGE, FAILED)
    assert "passed on to fax@fax.local" in words(unclear) and sent(unclear)["Reply-To"].startswith("resend+")
    waiting = ENGLISH.passed_on(MESSAGE, samples.WAITING, "cancel")
    assert "other than the word CANCEL" in words(waiting)
    late = ENGLISH.passed_on(MESSAGE, samples.SENDING, "cancel")
    assert sent(late)["Subject"].startswith("Not cancelled") and sent(late)["Reply-To"] is None
    assert sent(waiting)["Subject"].startswith("Not cancelled") and sent(waiting)["Reply-To"].startswith("cancel+")


@pytest.mark.parametrize("language", goldens.LANGUAGES)
def test_each_doubt_is_said_in_its_own_words(language):
    """Two numbers, one that cannot be faxed, a question: what was not clear, and letters that no server takes for one."""
    made = letters(language=language)
    told = [made.passed_on(MESSAGE, UNKNOWN, doubt, notice_id=f"{UNKNOWN.id}-{n}") for n, doubt in enumerate(Doubt)]
    assert (
        len({words(one).partition(".")[2] for one in told})
        == len({sent(one)["Message-ID"] for one in told})
        == len(Doubt)
    )
    again = made.passed_on(MESSAGE, replace(FAILED, retry_of="7DQ2M4X9KT1B8-9"), Doubt.NO_WORD)
    assert words(again) != words(told[list(Doubt).index(Doubt.NO_WORD)])


@pytest.mark.parametrize("fax", [FAILED, UNKNOWN, samples.MISTYPED, samples.CANCELLED], ids=lambda fax: fax.state)
@pytest.mark.parametrize("cause", ["busy", "no-fax", "hung-up"])
def test_how_to_send_it_again_is_said_once(fax, cause):
    """Where an answer does it, no other sentence asks for the same."""
    said = words(ENGLISH.outcome(MESSAGE, [replace(fax, detail={**fax.detail, "cause": cause})]))
    assert len(re.findall(r"send (?:it|the mail|the same document)|Answer this mail", said)) == 1 + (
        "send it to" in said
    )


@pytest.mark.parametrize("part", [case for name, case in goldens.CASES.items() if name in goldens.ONE_FILE])
def test_what_to_do_about_a_file_ends_in_a_mail(part):
    """How to mend the file, then one word that the mail is to be sent again: with others held back, with all of them."""
    message, faxes = part
    said = words(ENGLISH.outcome(message, faxes))
    assert said.count("Then send the mail again") == said.count("send") == 1
    with_another = replace(message, parts=(*message.parts, samples.HELD_PARTS[1]))
    assert "Then send the mail again, with all attachments." in words(ENGLISH.outcome(with_another, faxes))


def test_as_little_as_is_known_is_enough():
    """A mail without any header, parts or pages is answered all the same."""
    bare = replace(MESSAGE, headers=Headers(), parts=())
    for fax in (
        replace(FAILED, pages=None, submitted_at=None, finished_at=None, document_id="", reason=None, status=""),
        replace(UNKNOWN, reason=None),
    ):
        letter = ENGLISH.outcome(bare, [fax])
        assert fax.id in text(letter) and fax.id in html(letter)


# -- how it is made


@settings(max_examples=150, deadline=None)
@given(strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=300).filter(str.strip))
def test_any_words_come_back_as_they_were(words):
    """Whatever encoding is chosen: ASCII in short lines, and the very same lines for the reader."""
    raw = bytes(bodies.plain(words))
    assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 78 and b"\n" not in raw.replace(b"\r\n", b"")
    assert sent(raw).get_payload(decode=True).splitlines() == words.encode().splitlines()


def test_no_field_goes_on_in_a_line_that_a_value_made():
    """Even what was not cleaned before stays in its field."""
    value = "a\r\nBcc: b@c\n\rX: y\r"
    for field in (verbatim("To", value), written("Subject", value)):
        assert not re.search(r"(?m)^(?:Bcc|X):", field) and field.count("\r\n") == field.count("\n")


def test_a_reply_is_small_and_seven_bit():
    """A few kilobytes, ASCII on the wire, in lines that every mail server takes (RFC 5322 section 2.1.1)."""
    long = replace(
        MESSAGE,
        headers=replace(MESSAGE.headers, subject="é" * 300),
        parts=(replace(samples.PARTS[1], name="ü" * 200),) * 5,
    )
    for message in (MESSAGE, long):
        for language in goldens.LANGUAGES:
            raw = letters(language=language).outcome(message, [DELIVERED])
            assert raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998 and b"\n" not in raw.replace(b"\r\n", b"")
            assert len(raw) < (16_000 if message is MESSAGE else 40_000)


class _Balanced(HTMLParser):
    """Refuses HTML whose tags do not match, and what would fetch something from elsewhere."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self):
        super().__init__()
        self.open = []
        self.images = []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attributes)
        if tag == "img":
            assert given["alt"]
        assert given.get("src", "cid:").startswith("cid:") and given.get("href", "mailto:").startswith("mailto:")
        assert tag not in ("script", "link", "iframe", "form", "object")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def close(self):
        super().close()
        assert not self.open


@pytest.mark.parametrize("name", goldens.CASES)
def test_the_html_is_sound_and_fetches_nothing(name):
    """Tags match, pictures have words, nothing comes from elsewhere, layout tables are not read out as tables."""
    for language in goldens.LANGUAGES:
        shown = html(goldens.letter(name, language))
        parser = _Balanced()
        parser.feed(shown)
        parser.close()
        assert f'<html lang="{language}">' in shown and "url(" not in shown and "@import" not in shown
        assert shown.count("<h1") == 1 and "color-scheme" in shown


def _counted(said):
    return Counter(re.findall(r"[^\W_]+", said))


@pytest.mark.parametrize("name", [name for name in goldens.CASES if name != "summary"])
def test_both_forms_say_the_same(name):
    """Word for word; only a button of the HTML has a label of its own."""
    for language, labels in (
        ("en", {"Send it again", "Cancel this fax"}),
        ("fr", {"Envoyer de nouveau", "Annuler cette télécopie"}),
    ):
        letter = goldens.letter(name, language)
        tagged = re.sub(r"<(style|title)>.*?</\1>|<[^>]+>", " ", html(letter), flags=re.DOTALL)
        plain, shown = _counted(goldens.body(letter, "plain")), _counted(unescape(tagged))
        assert plain <= shown
        assert any(shown - plain == _counted(label) for label in ("", *labels)), shown - plain


def test_the_preview_is_inside_the_mail():
    """With [reply] preview, page 1 is shown from a part of the mail itself; without, there is no picture."""
    letter = sent(letters(preview="first").outcome(MESSAGE, [DELIVERED], preview=b"\x89PNG\r\n\x1a\n"))
    (picture,) = (part for part in letter.walk() if part.get_content_type() == "image/png")
    assert picture["Content-ID"] == "<first-page>" and picture.get_content() == b"\x89PNG\r\n\x1a\n"
    assert "cid:first-page" in letter.get_body(("html",)).get_content()
    assert "cid:" not in html(ENGLISH.outcome(MESSAGE, [DELIVERED]))


def test_machines_read_the_outcome():
    """[reply] json_part adds the outcome as data, beside the words for people."""
    letter = sent(letters(json_part=True).outcome(MESSAGE, [FAILED]))
    (part,) = (part for part in letter.walk() if part.get_content_type() == "application/json")
    outcome = json.loads(part.get_content())
    (fax,) = outcome["faxes"]
    assert (fax["state"], fax["reason"], fax["number"]) == ("failed", "provider-failed", "6474959659")
    assert [one["fate"] for one in outcome["parts"]] == ["ignored", "faxed", "ignored"]
    assert "could not be sent" in letter.get_body(("plain",)).get_content()


def test_no_secret_gets_into_a_reply():
    """Neither token, password nor signing key stands in any reply."""
    canary = "canary-8812"
    made = Letters(
        Settings(
            provider=Provider(token=canary),
            line=[FaxLine(name="a", senders=["*"], token=canary)],
            reply=Reply(relay=f"smtp://fax:{canary}@h:25", secret=canary, json_part=True),
            smtp=Smtp(),
        ),
        canary.encode(),
    )
    for _kind, message, faxes in samples.every():
        for one in (faxes, [replace(fax, notify=frozenset({"SUCCESS", "FAILURE", "DELAY"})) for fax in faxes]):
            if all(fax.final for fax in one):
                assert canary.encode() not in made.outcome(message, one)
    assert canary not in repr(vars(made._stationery))
