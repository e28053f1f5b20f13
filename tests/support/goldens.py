"""The golden replies: every outcome, language and format. `python -m tests.support.goldens` writes them anew, to be read by a person.

A `*` in a golden file stands for anything on that line.
"""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

from mail2fax.config import Reply, Settings
from mail2fax.model import Fate, Part, Reason
from mail2fax.replies import samples
from mail2fax.replies.letters import Letters

FOLDER = Path(__file__).parents[1] / "replies" / "golden"
SECRET = b"a key for tests"
LANGUAGES = ("en", "fr")

_REFUSED = replace(samples.MESSAGE, parts=samples.REFUSED_PARTS)
_ASKED = frozenset({"SUCCESS", "FAILURE", "DELAY"})
NOTHING = replace(samples.REFUSED, reason=Reason.NOTHING_FAXABLE, status="5.6.1")
_DAMAGED = replace(NOTHING, reason=Reason.DAMAGED, status="5.6.0")


def _only(name, kind, reason=Reason.UNSUPPORTED):
    """A mail with this attachment alone."""
    return replace(samples.MESSAGE, parts=(samples.PARTS[0], Part(name, kind, 24_310, Fate.REFUSED, reason)))


_AGAIN = replace(samples.WAITING, id=f"{samples.MESSAGE.id}-2", retry_of=samples.FAILED.id)


CASES = {
    "delivered": (samples.MESSAGE, [samples.DELIVERED]),
    "failed": (samples.MESSAGE, [samples.FAILED]),
    "refused": (_REFUSED, [samples.REFUSED]),
    "one-refused": (replace(samples.MESSAGE, parts=samples.HELD_PARTS), [samples.REFUSED]),
    "word": (_only("Letter.docx", samples.REFUSED_PARTS[3].kind), [NOTHING]),
    "heic": (_only("IMG_2042.HEIC", "image/heic"), [NOTHING]),
    "zip": (_only("docs.zip", "application/zip", Reason.NOT_REACHABLE), [NOTHING]),
    "rar": (_only("docs.rar", "application/vnd.rar", Reason.NOT_REACHABLE), [NOTHING]),
    "fake": (_only("fake.pdf", "application/octet-stream", Reason.NOT_A_PDF), [NOTHING]),
    "web-page": (_only("results.pdf", "text/html", Reason.NOT_A_PDF), [NOTHING]),
    "damaged-photo": (_only("IMG_2042.HEIC", "image/heic", Reason.DAMAGED), [_DAMAGED]),
    "unnamed": (_only("", "application/octet-stream", Reason.UNSUPPORTED), [NOTHING]),
    "empty": (_only("Form.pdf", "application/pdf", Reason.EMPTY), [replace(_DAMAGED, reason=Reason.EMPTY)]),
    "nothing": (replace(samples.MESSAGE, parts=samples.PARTS[:1]), [NOTHING]),
    "link": (replace(samples.MESSAGE, parts=samples.PARTS[:1]), [replace(NOTHING, detail={"link": True})]),
    "in-part": (replace(samples.MESSAGE, parts=(*samples.PARTS, samples.REFUSED_PARTS[3])), [samples.DELIVERED]),
    "sending": (samples.MESSAGE, [samples.SENDING]),
    "out-of-order": (samples.MESSAGE, [replace(samples.WAITING, reason=Reason.LINE_HELD)]),
    "held": (samples.MESSAGE, [replace(samples.WAITING, held_by="kim")]),
    "mistyped": (samples.MESSAGE, [samples.MISTYPED]),
    "unknown": (samples.MESSAGE, [samples.UNKNOWN]),
    "cancelled": (samples.MESSAGE, [samples.CANCELLED]),
    "resolved": (samples.MESSAGE, [replace(samples.DELIVERED, reason=Reason.RESOLVED_BY_OPERATOR)]),
    "delayed": (samples.MESSAGE, [samples.WAITING]),
    "summary": (samples.MESSAGE, list(samples.SUMMARY)),
    "again": (samples.MESSAGE, [_AGAIN]),
    "corrected": (samples.MESSAGE, [replace(_AGAIN, number="4165550100")]),
    "passed-on": (samples.MESSAGE, [samples.FAILED]),
    "mistyped-on": (samples.MESSAGE, [samples.MISTYPED]),
    "of-several": (samples.MESSAGE, [samples.FAILED]),
}
ONE_FILE = ("word", "heic", "zip", "rar", "fake", "web-page", "damaged-photo", "unnamed", "empty")
ASKED = {
    name: (message, [replace(fax, notify=_ASKED, orcpt="rfc822;fax-6474959659@clinic.example") for fax in faxes])
    for name, (message, faxes) in CASES.items()
}
REPORTS = ("delivered", "failed", "cancelled", "delayed")
ALERTS = samples.ALERTS


_MADE = {}


def letters(**reply):
    """Letters with these settings: made once, since templates are read at the first use."""
    return _MADE.setdefault(repr(reply), Letters(Settings(reply=Reply(**reply)), SECRET))


def sent(letter):
    """As a mail program reads it off the wire."""
    return message_from_bytes(letter, policy=policy.default)


def body(letter, subtype):
    """The words in this form."""
    return sent(letter).get_body((subtype,)).get_content().replace("\r\n", "\n")


def letter(name, language, cases=CASES, **reply):
    made = letters(language=language, **reply)
    if name in ALERTS:
        return made.admin(ALERTS[name]["kind"], ALERTS[name], notice_id="N1", at=samples.ACCEPTED)
    message, faxes = cases[name]
    if name in ("sending", "out-of-order", "held"):
        return made.delayed(message, faxes[0], next_at=None)
    if name == "delayed":
        return made.delayed(message, faxes[0], next_at=samples.ACCEPTED.replace(minute=19))
    if name in ("again", "corrected"):
        return made.again(message, faxes[0], fresh=name == "corrected")
    if name in ("passed-on", "mistyped-on"):
        return made.passed_on(message, faxes[0], "words", notice_id=f"{faxes[0].id}-1f2e3d4c")
    return made.outcome(message, faxes, numbers=3 if name == "of-several" else 1)


def goldens():
    """Name of the golden file, and what should be in it."""
    for language in LANGUAGES:
        for name in CASES:
            made = letter(name, language)
            yield f"{name}.{language}.txt", _header(made) + body(made, "plain")
            if name not in ONE_FILE[1:]:  # they differ in words alone, and both forms say the same ones
                yield f"{name}.{language}.html", _unstyled(body(made, "html"))
        for name in ALERTS:
            made = letter(name, language)
            yield f"{name}.{language}.txt", _header(made) + body(made, "plain")
    for name in REPORTS:
        yield f"{name}.dsn", _report(letter(name, "en", ASKED))
    yield "summary.json", sent(letter("summary", "en", json_part=True)).get_payload(1).get_content().decode()


def _header(made):
    head = made.decode().partition("\r\n\r\n")[0].replace("\r\n", "\n")
    return re.sub(r'boundary="[^"]*"', 'boundary="*"', head) + "\n\n"


def _unstyled(html):
    html = re.sub(r"<style>.*</style>", "<style>*</style>", html, flags=re.DOTALL)
    return re.sub(r'style="[^"]*"', 'style="*"', html)


def _report(made):
    """All but the words for people, which are those of the other golden files."""
    text = made.decode().replace("\r\n", "\n")
    _, _, *parts, _ = text.split(f"\n--{sent(made).get_boundary()}")
    return _header(made) + "\n".join(part.removeprefix("\n") for part in parts)


def fits(golden, found):
    """The first line that differs, and how; None when all fit."""
    wanted, lines = golden.split("\n"), found.split("\n")
    for number, (pattern, line) in enumerate(zip(wanted, lines, strict=False), start=1):
        form = ".*".join(map(re.escape, pattern.split("*")))
        if not re.fullmatch(form, line):
            return f"line {number}: expected {pattern!r}, found {line!r}"
    return None if len(wanted) == len(lines) else f"{len(wanted)} lines expected, {len(lines)} found"


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name, text in goldens():
        signed = re.sub(r"((?:resend|cancel)\+[\w-]+\.)[a-z2-7]{16}", r"\1*", text)
        (FOLDER / name).write_text(signed)
    print(len(list(FOLDER.iterdir())), "golden files")


if __name__ == "__main__":
    main()
