"""A document made ready for paper before anything is drawn of it: its layers decided, its marks given a drawing.

Both the drawing of the original, by which the result is judged, and the result itself start from here.
"""

from dataclasses import replace

from mail2fax.documents.pages import appearances, layers
from mail2fax.documents.pages.inspection import Source, saved


def as_printed(source: Source) -> Source:
    """The same document as a printer would be given it."""
    changed = layers.settle(source.pdf)
    if source.annotated and source.drawable:
        changed = appearances.complete(source.pdf) or changed
    return replace(source, data=saved(source.pdf)) if changed else source
