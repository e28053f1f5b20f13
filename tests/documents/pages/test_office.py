"""Office files by a real LibreOffice, inside a worker that is confined as any other."""

import shutil

import pytest

from mail2fax.config import Documents
from mail2fax.documents.pool import Pool
from mail2fax.model import Fate
from tests.support import pdfs

LETTER = rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\*\revtbl{Unknown;}{Ann;}}\f0 Dear colleague, {\deleted\revauthdel1 old }news.}"

pytestmark = pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice")


async def test_a_letter_is_faxed_as_libreoffice_prints_it(task):
    """With its deleted words, which the account tells; and what confines a worker does not keep LibreOffice from it."""
    pool = Pool(Documents(workers=1))
    try:
        made = await pool.make(task(pdfs.mail((LETTER, "application/rtf", "letter.rtf")), convert=("office",)))
    finally:
        await pool.close()
    part = next(part for part in made.parts if part.name == "letter.rtf")
    assert (part.fate, part.pages) == (Fate.FAXED, 1)
    assert "changes" in part.notes
    (document,) = made.documents
    assert "Dear colleague, old news." in pdfs.shown(document.file.read_bytes())
