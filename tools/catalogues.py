"""Brings the catalogues up to date with the templates: `python tools/catalogues.py`. New texts come in empty, to be filled.

A test holds the shipped catalogues against the templates with the same functions.
"""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from mail2fax import resources

TEMPLATES = resources.templates() / "reply"
OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}


def extracted() -> Catalog:
    """Every text of the templates."""
    catalog = Catalog(project="mail2fax", fuzzy=False)
    for path in sorted(TEMPLATES.iterdir()):
        if path.is_file():
            for _line, message, comments, context in extract_from_file("jinja2", path, options=OPTIONS):
                # Without line numbers: moving a text in its file is no change of the catalogue.
                catalog.add(message, None, [(path.name, None)], auto_comments=comments, context=context)
    return catalog


def catalogues() -> list[Path]:
    return sorted((TEMPLATES / "locale").glob("*.po"))


def updated(path: Path) -> bytes:
    """The catalogue as it should be. Its header stays as it is."""
    before = path.read_bytes()
    catalog = read_po(io.BytesIO(before))
    catalog.update(extracted(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    written = io.BytesIO()
    write_po(written, catalog, width=120, sort_output=True, omit_header=True)
    return before.partition(b"\n\n")[0] + b"\n\n" + written.getvalue().lstrip(b"\n")


if __name__ == "__main__":
    for one in catalogues():
        one.write_bytes(updated(one))
        print(one)
