"""Real mails that nobody here wrote, and real PDFs wrapped as mail programs wrap them: what is found is what is there.

MAIL2FAX_CORPUS names the folder. Each place where the answer differs from its expected.json stands in CHOSEN, argued.
"""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from tnefparse import TNEF

from mail2fax.documents.mime import take_apart, tnef
from mail2fax.model import Permanent, Reason

CORPUS = Path(os.environ.get("MAIL2FAX_CORPUS", Path(__file__).parents[4] / "shared" / "corpus")) / "mail"
EXPECTED = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.is_dir() else {}
pytestmark = [pytest.mark.corpus, pytest.mark.skipif(not EXPECTED, reason="no corpus: set MAIL2FAX_CORPUS")]
WINMAILS = sorted((CORPUS / "tnef").iterdir()) if CORPUS.is_dir() else []

# The SHA-256 of the one document that most of the built mails carry.
_DOCUMENT = "50f8b87e7a26d181ac6dfb851f39e90aa68c0f01727af6ddf227dbae11eb89f0"

# More is found than was expected: file -> what, all under a policy of the corpus that leaves the answer open.
CHOSEN = {
    "built/forward_eml_octet.eml": _DOCUMENT,  # whoever attaches a mail as a file means what is in it
    "built/bare_cr_headers.eml": _DOCUMENT,  # lines that end in CR are lines
    "built/boundary_missing_param.eml": _DOCUMENT,  # the body itself shows its boundary
    "built/boundary_wrong_in_header.eml": _DOCUMENT,  # the same
    "built/header_body_no_blank.eml": _DOCUMENT,  # base64 is no header field, so the header ends before it
}
# A claim that gets another word than "not a PDF": file -> reason.
OTHER_WORD = {
    # The PDF stands beside its resource fork: to refuse the fork would refuse what is faxed.
    "built/appledouble.eml": Reason.ALTERNATIVE,
    # There is nothing in the mail that could be a PDF or not be one.
    "built/external_body.eml": Reason.NOT_REACHABLE,
}
# Over the limit of parts: nothing is lost, the mail is refused by name.
BOMBS = {
    "built/many_parts_3000.eml",
    "built/nested_2000_bomb.eml",
    "real/mailgun_flanker__messages_enclosed-endless.eml",  # 1,001 parts of one delivery report
}


def found(file: str):
    """The account of a mail, and how many seconds of processor time it took."""
    content = (CORPUS / file).read_bytes()
    start = time.process_time()
    mail = take_apart(content)
    return mail, time.process_time() - start


@pytest.mark.parametrize("file", sorted(EXPECTED.keys() - BOMBS))
def test_the_documents_of_a_real_mail_are_found(file):
    """Number, order, bytes and names of the PDFs agree with what independent decoders found."""
    expected = EXPECTED[file]
    mail, seconds = found(file)
    pdfs = [item for item in mail.items if item.kind == "pdf"]
    hashes = [hashlib.sha256(item.data).hexdigest() for item in pdfs]
    if file in CHOSEN:
        assert hashes == [CHOSEN[file]]
    else:
        assert len(pdfs) == expected["n_pdfs"]
        assert hashes == expected["sha256"] or not expected["sha256"]
        assert all(want in {None, item.part.name} for item, want in zip(pdfs, expected["names"], strict=False))
    assert seconds < 3


@pytest.mark.parametrize("file", sorted(name for name in EXPECTED if EXPECTED[name]["claimed_not_pdf"]))
def test_what_claims_to_be_a_pdf_gets_a_word(file):
    """A part called PDF that is none is named in the account, unless its PDF was found after all."""
    claims = [claim.rpartition(" (")[0] for claim in EXPECTED[file]["claimed_not_pdf"]]
    mail, _ = found(file)
    words = {Reason.NOT_A_PDF, Reason.EMPTY, Reason.UNDECODABLE, OTHER_WORD.get(file)} - {None}
    named = [item.part.name for item in mail.items if item.part.reason in words and "pdf" in item.part.name.lower()]
    if EXPECTED[file]["policy"] in {"sniff-base64", "any"}:
        assert not named  # decoded although it was mislabelled
    else:
        assert len(named) == len(claims)


@pytest.mark.parametrize("file", sorted(BOMBS & EXPECTED.keys()))
def test_a_mail_over_the_limits_is_refused(file):
    """Thousands of parts are no mail that somebody wants faxed: refused at once, by name."""
    start = time.process_time()
    with pytest.raises(Permanent) as refusal:
        found(file)
    assert refusal.value.reason is Reason.MAIL_BOMB
    assert time.process_time() - start < 1


@pytest.mark.parametrize("file", WINMAILS, ids=lambda path: path.name)
def test_winmail_agrees_with_tnefparse(file):
    """Names and bytes of the attachments are those that tnefparse finds, but for the header of embedded objects."""
    data = file.read_bytes()
    ours = [(each.name, each.data.rstrip(b"\0"), each.storage) for each in tnef.attachments(data) if not each.cut]
    theirs = [(each.long_filename(), each.data.rstrip(b"\0")) for each in TNEF(data, do_checksum=False).attachments]
    assert [name for name, _, _ in ours] == [name for name, _ in theirs]
    for (_, mine, storage), (_, its) in zip(ours, theirs, strict=True):
        assert mine == (its[16:] if storage else its)


@pytest.mark.parametrize("share", [10, 50, 90, 99])
def test_cut_mails_are_accounts_too(share):
    """Every mail of the corpus, cut anywhere, still gives an account or a refusal."""
    for file in EXPECTED:
        content = (CORPUS / file).read_bytes()[:300_000]
        try:
            assert take_apart(content[: len(content) * share // 100]).items
        except Permanent as verdict:
            if verdict.reason is not Reason.MAIL_BOMB:
                raise
