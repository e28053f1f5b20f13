"""Answers as people and their mail programs write them, through the real door: never twice, never to a wrong number."""

import asyncio
from collections import Counter
from email.message import EmailMessage
from email.policy import SMTP

from sqlalchemy import update

from mail2fax.spool.database.schema import messages, now
from tests.support.answering import SENDER, say
from tests.support.samples import mail, pdf

OLD, NEW = "6474959659", "4169671111"
OWN = "416-967-1113"  # in signatures; must never be dialled
SUBJECT = "Re: Not faxed to (647) 495-9659: Lab results"
OUR_REPLY = "Your fax to (647) 495-9659 was not sent.\n\nTo send it to another number, write just that number instead."
QUOTED = "".join(f"> {line}\n" for line in OUR_REPLY.splitlines())
OUTLOOK = (
    f"From: Fax <fax@fax.local>\nSent: Monday, November 23, 2026 2:05 PM\nTo: Anna <{SENDER}>\n"
    f"Subject: Not faxed to (647) 495-9659: Lab results\n\n{OUR_REPLY}\n"
)
APPLE = f"> On Nov 23, 2026, at 2:05 PM, Fax <fax@fax.local> wrote:\n>\n{QUOTED}"
SIGNATURE = f"Anna Muster\nOffice Manager\nT: {OWN} | F: 416-967-1114"


def written(text="", html="", subject=SUBJECT, **fields):
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = f"Anna Muster <{SENDER}>", subject
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    if text or not html:
        made.set_content(text)
    if html and text:
        made.add_alternative(html, subtype="html")
    elif html:
        made.set_content(html, subtype="html")
    return made.as_bytes()


WORD_HTML = (
    '<html><body><div class="WordSection1"><p class="MsoNormal">{}<o:p></o:p></p><p class="MsoNormal"><o:p>&nbsp;</o:p></p>'
    f"<p>Anna Muster</p><p>T: {OWN}</p>"
    '<div style="border:none;border-top:solid #E1E1E1 1.0pt"><p class="MsoNormal"><b>From:</b> Fax &lt;fax@fax.local&gt;<br>'
    "<b>Sent:</b> Monday, November 23, 2026 2:05 PM<br><b>To:</b> Anna<br><b>Subject:</b> Not faxed to (647) 495-9659</p></div>"
    "<p>Your fax to (647) 495-9659 was not sent.</p></div></body></html>"
)
OBEYED = {  # and the number that is to be dialled
    "Outlook, on top": (written(f"SEND\n\n{SIGNATURE}\n\n{OUTLOOK}"), OLD),
    "Outlook, HTML only": (written(html=WORD_HTML.format("416-967-1111")), NEW),
    "iPhone": (written(f"416-967-1111\n\nSent from my iPhone\n\n{APPLE}"), NEW),
    "iPhone, French": (written(f"RENVOYER\n\nEnvoyé de mon iPhone\n\n{APPLE}"), OLD),
    "Outlook mobile": (written(f"Send\n\nGet Outlook for iOS<https://aka.ms/o0ukef>\n{'_' * 32}\n{OUTLOOK}"), OLD),
    "Gmail": (written(f"again please\n\nOn Mon, Nov 23, 2026 at 2:05 PM Fax <fax@fax.local> wrote:\n\n{QUOTED}"), OLD),
    "between the quotes": (written(f"{QUOTED}416 967 1111\n> This works until November 30, 2026.\n"), NEW),
    "below the quote": (written(f"On Monday Fax wrote:\n{QUOTED}\nNew number: 416-967-1111\n\n-- \n{SIGNATURE}"), NEW),
    "twice the same": (written(f"(416) 967-1111\n+1 416.967.1111\n\n{SIGNATURE}"), NEW),
    "led to": (written(f"Bonjour,\nDésolée, mauvais numéro. Veuillez l'envoyer au bon numéro :\n{NEW}\n\nMerci"), NEW),
    "wrong, thanks": (written(f"Hi,\nWrong number, sorry!\n416-967-1111\nThanks,\n{SIGNATURE}"), NEW),
}
NOTHING = {
    "word, then a number": written(f"SEND\n\nFax: {OWN}\n"),
    "word, thanks, a number": written(f"SEND\nThanks\n{OWN}\n"),
    "thanks, then a number": written(f"Hi,\nThanks\n{OWN}\n"),
    "nod, then a number": written(f"Yes please\n\n{OWN}"),
    "only a signature": written(f"{SIGNATURE}\n"),
    "a number in the subject": written("", subject="416-967-1111"),
    "a number behind ours": written("", subject=f"{SUBJECT} -> 416-967-1111"),
    "stop in the subject": written("", subject="STOP please"),
    "a new number to come": written("Please send it to the new number:\n\nThanks"),
    "vacation, no mark": written(f"I am out of the office until Monday. If it is urgent call {OWN}.", subject=SUBJECT),
    "vacation, French": written(f"Je suis absente jusqu'au 30 novembre. Pour une urgence : {OWN}\n\nAnna"),
    "forwarded": written(
        f"FYI\n\n{SIGNATURE}\n\n---------- Forwarded message ---------\n{OUTLOOK}", subject="Fwd: Not faxed"
    ),
    "forwarded, number in the signature": written(
        f"Can you resend this?\n{OWN}\n\n{OUTLOOK}", subject="TR: Non télécopié"
    ),
    "a ticket": written(f"Thank you for contacting us! Your request 4169671113 was received.\n\n{QUOTED}"),
    "not that one": written("416-967-1111\nnot 647-495-9659"),
    "two on a line": written("416-967-1111 / 416-967-1112"),
    "one with an extension": written("416-967-1111 ext. 12"),
    "a date": written("please try again on 2026-11-30"),
    "German": written(f"Bitte nochmals an {NEW} senden"),
    "a question": written(f"Was it busy?\n\n{APPLE}"),
    "cut in two": written("416-967-\n1111"),
    "the German word for sent": written(html="<p>Gesendet von Outlook</p><p>Maria 416-967-1113</p>"),
}


async def failed(running, faxapi, outbox, count=1):
    """So many faxes that failed: the addresses to answer. Those that follow go through."""
    faxapi.words = ["Failed"]
    await asyncio.gather(*(running.send(mail(pdf(text=f"fax {n}"), subject="Lab results")) for n in range(count)))
    addresses = [str((await outbox.next()).message["Reply-To"]) for _ in range(count)]
    faxapi.words = ["Success"]
    return addresses


async def test_what_is_clear_is_sent_once_and_there(bridge, faxapi, outbox):
    """To the number that the text names, or to the old one; nobody's own number is dialled."""
    running = await bridge()
    addresses = await failed(running, faxapi, outbox, len(OBEYED))
    for address, (name, (content, number)) in zip(addresses, OBEYED.items(), strict=True):
        code, said = await say(running, address, content)
        assert (code, "accepted as" in said) == (250, True), (name, said)
        (fresh,) = await running.faxes(said.split()[-1])
        assert fresh.number == number, name
    await faxapi.until(lambda: len(faxapi.posts) == 2 * len(OBEYED))
    assert Counter(post.number for post in faxapi.posts[len(OBEYED) :]) == Counter(to for _, to in OBEYED.values())


async def test_what_is_not_clear_is_sent_nowhere(bridge, faxapi, outbox):
    """A person reads it, or it is refused; then the word still works, once."""
    running = await bridge(reply={"sender": "Fax <desk@office.example>"})
    (address,) = await failed(running, faxapi, outbox)
    for name, content in NOTHING.items():
        code, said = await say(running, address, content)
        assert code == 550 or "nothing was faxed" in said, (name, code, said)
    assert [post.number for post in faxapi.posts] == [OLD]
    assert (await say(running, address, written("SEND")))[0] == 250
    await faxapi.until(lambda: len(faxapi.posts) == 2)
    assert (await say(running, address, written("SEND")))[0] == 250  # the same answer: the same wish
    assert (await say(running, address, written("send it again")))[0] == 550
    assert [post.number for post in faxapi.posts] == [OLD, OLD]


async def test_what_was_purged_is_not_sent_again(bridge, faxapi, outbox):
    """The document is gone: its sender hears so, whatever he answers."""
    running = await bridge()
    (address,) = await failed(running, faxapi, outbox)
    purged = update(messages).values(purged_at=now())
    await running.node.spool.change(lambda connection: connection.execute(purged) and None)
    for text in ("SEND", "416-967-1111", ""):
        code, said = await say(running, address, written(text))
        assert (code, "no longer kept" in said, "mail it to the fax number again" in said) == (550, True, True), said
    assert len(faxapi.posts) == 1
