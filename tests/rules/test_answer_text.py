"""What the text of an answer asks for: a wish is only what is clearly one."""

import contextlib

import pytest
from hypothesis import given, settings, strategies

from mail2fax.rules.address import AddressError
from mail2fax.rules.answer_text import Doubt, Doubtful, Once, cancels, once_more, refuse_other

MARIA = "Maria Rossi <maria@clinic.example>"
NUMBER = "4169671111"


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n \n", "Please try again, thanks", "again", "Yes please", "Oui svp", "Encore une fois s'il vous plaît"),
        "> Your fax to (647) 495-9659 was not sent.",
        "\n\nOn Mon, Nov 23, 2026 at 2:05 PM Fax <fax@fax.local> wrote:\n> (647) 495-9659",
        "Le lun. 23 nov. 2026 à 14:05, Fax <fax@fax.local> a écrit :\n> (647) 495-9659",
        "On 2026-11-23 14:05, Fax wrote:\n",
        "From: Fax <fax@fax.local> 6474959659",
        "-- \nAnna Muster\n+1 416 967 1111",
        "________________________________\nDe : Fax 416 967 1111",
        "________________________________\n\nDe : Fax\nEnvoyé le : samedi 28 novembre\nÀ : Maria",
        "Le lun. 23 nov. 2026 à 14:05, Service de télécopie du bureau <fax@fax.local> a\nécrit :\n\n> (647) 495-9659",
        *(
            "Envoyé depuis mon appareil Galaxy",
            "Obtenir Outlook pour iOS<https://aka.ms/o0ukef>",
            "Envoyé de mon iPhone",
        ),
        *("Provenance : Courrier pour Windows", "Sent from my Bell Samsung device over Canada's largest network."),
        "Maria Rossi\n\nThis message is confidential, for its recipient alone. If it is not for you, delete it.",
        *("Sent from my 416 967 1111 phone", "Get Outlook for iOS", "Maria", "Maria Rossi\nOffice Manager"),
    ],
)
def test_a_bare_answer_asks_for_the_same_number(text):
    """Nothing at all, or a nod; quotes and signatures change nothing. It names nothing."""
    assert once_more(text, MARIA) == Once()


@pytest.mark.parametrize(
    "text",
    [
        *("SEND", "send it again, please", "Resend", "RENVOYER", "Renvoyez-la svp"),
        "SEND\n\nMaria Rossi\nTel 416-967-1112",
        "SEND\nThanks,\nM. R.\n416-967-1112",
        "\n\nSend\n\nCONFIDENTIAL: this mail may hold what is for its recipient 416-967-1112",
        "SEND\n\nOn Monday 2:05 Fax wrote:\nYour fax to (647) 495-9659",
    ],
)
def test_the_word_on_the_first_line_names_the_wish(text):
    """The word that the reply offers, in either language; a signature below it is nobody's wish."""
    assert once_more(text, MARIA) == Once(named=True)


@pytest.mark.parametrize(
    "text",
    [
        *(NUMBER, "416-967-1111", "(416) 967-1111", "+1 416.967.1111", "416-967-1111.", "1 416 967 1111\n\nThanks!"),
        *("\n  4169671111  \n> quoted", "416-967-1111 thanks", "416-967-1111\n(416) 967-1111"),
        *("Fax: 416-967-1111", "to 416 967 1111", "au 416 967 1111", "Numéro : 416 967 1111", "FAX NUMBER: 4169671111"),
        *("tel 416-967-1111", "Send to 416-967-1111", "New number 416-967-1111", "Nouveau numéro : 416 967-1111"),
        *("*416-967-1111*", "416\u2011967\u20111111", "416\u2013967\u20131111", "416\u00a0967\u202f1111"),
        *("\u202a416-967-1111\u202c", "\u200e416-967-1111", "416\u200b967\u200b1111"),
        *("Hi,\n\n416-967-1111", "Bonjour Anne,\nVeuillez l'envoyer au 416-967-1111"),
        *("Wrong number, sorry!\n416-967-1111", "Please send it to the right number: 416-967-1111"),
        "416-967-1111\n\nMaria Rossi\nTel 416-967-1112 | Fax 416-967-1113",
        "Le bon numéro est le 416-967-1111 <fax>",
    ],
)
def test_a_number_on_any_line_is_the_new_one(text):
    """In whatever form people paste it, beside courtesies; the signature's own numbers are none."""
    assert once_more(text, MARIA) == Once(NUMBER, named=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "I phoned them, they have it. Thank you!",
            "Thanks! Will call them.",
            "Thanks",
            "Thanks again!",
            "Merci encore",
        ),
        *("OK", "No", "Non merci", "don't send", "Never send it again", "Stop", "Hi, don't", "2nd try, room 12"),
        *(
            "Wrong number, sorry!",
            "Wrong number, please send it again",
            "I will send it again",
            "You need not resend it",
        ),
        *("call me at 416 967 1111", "416-967-1111 is my phone", "4169671111 ext 5", "not 416-967-1111"),
        *("SEND\nbut only if they have not got it", "SEND me a confirmation", "416-967-1111\nafter five, please"),
        *("Maria Rossi\nTel 416-967-1111", "Thanks,\nMaria\n416-967-1111", "Best\nSomebody\n416-967-1111"),
        "On Monday 2:05 Fax wrote:\n416-967-1111",
        *("Sent from the other fax machine already, thanks", "Sent from my other fax machine, no need to resend."),
        *(
            "Envoyé de nouveau au 416-967-1111, merci",
            "Sent from Bob's office",
            "Envoyé à partir de notre autre télécopieur.",
        ),
        *("Le fax est arrivé à 8 h 05", "On the phone at 9:15 they said it came", "On hold @ the moment", "__ no"),
        *("From: now on use 416-967-1111", "De: l'autre bureau"),
        *("From: 647-495-9659\nTo: 416-967-1111", "-- don't send"),
        *("-----Don't send-----", "Get Outlook to stop this", "From: Maria\nStop", "Notice: do not resend"),
        *(
            "Maria Rossi\ndo not send",
            "This message is for Bob: do not send",
            "SEND\nOn second thought, don't <please>",
        ),
        "Sent from my phone to 416-967-1111",
        *("Is 416-967-1111 the right number?", "416-967-1111?", "is 416-967-1111 right", "SEND?", "Encore une fois ?"),
        "I received your mail, but I won't be back until Monday.",
        "Thank you. Your ticket number is 4711.",
    ],
)
def test_anything_else_is_read_by_a_person(text):
    """A word that is not understood, thanks alone, or a number that may be somebody else's."""
    with pytest.raises(Doubtful) as doubtful:
        once_more(text, MARIA)
    assert doubtful.value.doubt is Doubt.WORDS


@pytest.mark.parametrize("above", ["", "SEND\n"])
@pytest.mark.parametrize(
    "text",
    [
        "This message was for the lab, do not send it again",
        "Ce message ne doit pas être renvoyé",
        "Confidential: do not resend!",
        "Notice: wrong person",
        "On second thought, do not send it. Call me at 10:30.",
        "Le fax doit partir lundi à 9:30",
        "From: now on please use the other one",
        "-- no, do not send",
        "__no__",
        "Sent from the wrong desk, do not send",
    ],
)
def test_what_only_begins_as_a_notice_or_a_history_does_is_text(text, above):
    """Left out, it would be an empty answer, which asks to send it again, or to cancel; or a word that takes it back."""
    for ask in (once_more, cancels):
        with pytest.raises(Doubtful):
            ask(above + text, MARIA)


@pytest.mark.parametrize("text", ["Maria\nplease do not send it", "Maria Rossi\nnever again"])
def test_a_name_alone_hides_no_word_against_it(text):
    """With nothing said above, what stands below a name may be the answer."""
    for ask in (once_more, cancels):
        with pytest.raises(Doubtful):
            ask(text, MARIA)


@pytest.mark.parametrize(
    "below",
    [
        "This e-mail is confidential. If you are not the intended recipient, do not copy it.",
        "AVIS DE CONFIDENTIALITÉ : ce courriel est destiné à son seul destinataire",
        "This message has been scanned for viruses",
        "-----Original Message-----\nDo not reply",
        "--Maria",
        "On Mon, Nov 23, 2026 at 2:05 PM Fax of the Clinic <\nfax@fax.local> wrote:\n> Your fax was not sent.",
        "From: No Reply <fax@fax.local>",
    ],
)
def test_what_stands_below_a_wish_changes_nothing(below):
    """A server's notice, a signature, the mail that is answered."""
    assert once_more(f"SEND\n\n{below}", MARIA) == Once(named=True)


@pytest.mark.parametrize(
    "text",
    ["SEND\n416-967-1111", "yes\n\nTel 416-967-1111", "Thanks\n416-967-1111", "SEND\nThanks\nfax 416-967-1111"],
)
def test_a_number_below_a_wish_or_a_thank_you_may_be_its_authors(text):
    """Nothing says that the document is to go there."""
    with pytest.raises(Doubtful) as doubtful:
        once_more(text)
    assert doubtful.value.doubt is Doubt.WHOSE


@pytest.mark.parametrize(
    "text",
    [
        "Please send it to\n416-967-1111",
        "Wrong number, please resend\n416-967-1111",
        "The new number is:\n416-967-1111",
    ],
)
def test_a_line_may_lead_to_the_number_below(text):
    """And without that number it asks for nothing: the old one would be wrong."""
    assert once_more(text) == Once(NUMBER, named=True)
    with pytest.raises(Doubtful):
        once_more(text.partition("\n")[0])


@pytest.mark.parametrize(
    "text",
    [
        "SEND\nNew number: 416-967-1111",
        "Please send it again\nto 416-967-1111",
        "Renvoyer\nau 416-967-1111",
        "RENVOYER SVP\nà 416-967-1111",
        "SEND\nThanks\nthe right number is 416-967-1111",
    ],
)
def test_a_number_may_say_itself_that_it_is_meant(text):
    """Nobody writes so of his own, wherever it stands."""
    assert once_more(text) == Once(NUMBER, named=True)


@pytest.mark.parametrize(
    "subject", ["", "Re: Not faxed to (647) 495-9659: Case 2026112301", "RE: Unclear: +1 647 495 9659"]
)
def test_a_subject_of_ours_asks_for_nothing(subject):
    """Its numbers are known; any other one, or a word against it, is a doubt."""
    ours = "6474959659 Case 2026112301"
    refuse_other(subject, ours)
    for more in (" 416-967-1111", " stop", " 2026112302"):
        with pytest.raises(Doubtful):
            refuse_other(subject + more, ours)


@pytest.mark.parametrize(
    "text", ["416 967 1111\n416 967 1112", "416 967 1111 to 416 967 1112", "De : 416 967 1112\nÀ : 416 967 1111"]
)
def test_two_numbers_are_none(text):
    """Nobody guesses which one is meant."""
    with pytest.raises(Doubtful) as doubtful:
        once_more(text)
    assert doubtful.value.doubt is Doubt.NUMBERS


@pytest.mark.parametrize("text", ["555 1234 5", "+44 20 7946 0958", "123456789012345", "٤١٦٩٦٧١١١١"])
def test_a_number_that_cannot_be_faxed_is_refused_with_the_rule(text):
    """A wrong digit faxes a stranger."""
    with pytest.raises(AddressError):
        once_more(text)


@pytest.mark.parametrize(
    "text", ["", "cancel", "Please cancel it", "STOP", "Annuler svp", "cancel\n\nMaria\n416 967 1111"]
)
def test_cancelling_takes_its_word_or_none(text):
    """An empty answer to "still trying", or one that says so."""
    cancels(text, MARIA)


@pytest.mark.parametrize(
    "text", ["Thanks", "OK", "yes", "Don't cancel", "I am away until Monday", "cancel 416 967 1111"]
)
def test_nothing_else_cancels(text):
    """Neither politeness nor a note of absence."""
    with pytest.raises(Doubtful):
        cancels(text, MARIA)


WORDS = (
    "SEND",
    "again",
    "please",
    "thanks",
    "not",
    "416-967-1111",
    "647 495 9659",
    "Hi,",
    "Maria",
    "tel",
    "wrong",
    "\n",
)


@settings(max_examples=300, deadline=None)
@given(strategies.lists(strategies.sampled_from([*WORDS, "x", ">", "-- "]), max_size=8).map(" ".join))
def test_no_number_comes_out_that_did_not_go_in(text):
    """One of its numbers, the old one, or a doubt; a "not" is a doubt, and so is an "x" to begin with, unless greeted."""
    try:
        once = once_more(text, MARIA)
    except (Doubtful, AddressError):
        return
    digits = text.replace("-", "").replace(" ", "")
    assert not once.number or (once.named and once.number in digits)
    said = text.partition(">")[0].partition("-- ")[0]
    first = next((line.strip() for line in said.splitlines() if line.strip()), "")
    assert "x" not in first.split() or first.startswith(("Hi,", "Maria"))
    assert "not" not in said.split() or "Maria" in said  # what stands below a name is not the text


@settings(max_examples=150, deadline=None)
@given(strategies.text(max_size=80))
def test_any_text_is_a_wish_or_a_doubt(text):
    """Never an error of ours."""
    for ask in (once_more, cancels):
        with contextlib.suppress(Doubtful, AddressError):
            ask(text)
