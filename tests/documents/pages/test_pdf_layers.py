"""Layers of a PDF: a fax shows what a printer prints; and names of resources that look like keys stay."""

import pytest
from pikepdf import Array, Dictionary, Name, Stream

from mail2fax.documents.pages import fit
from tests.support import pdfs


def layered(usages: dict[str, Dictionary | None], *, automatic: bool = True, **default) -> bytes:
    """A page with a line of text on a layer of each name."""
    pdf = pdfs.empty()
    groups, content = {}, b""
    for number, (name, usage) in enumerate(usages.items()):
        group = Dictionary(Type=Name.OCG, Name=name)
        if usage is not None:
            group.Usage = usage
        groups[name] = pdf.make_indirect(group)
        content += b"/OC /L%d BDC\n%sEMC\n" % (number, pdfs.words(name, y=700 - 40 * number))
    page = pdfs.page(pdf, content)
    page.obj.Resources.Properties = Dictionary({f"/L{n}": group for n, group in enumerate(groups.values())})
    every = Array(groups.values())
    config = Dictionary({f"/{key}": Array(groups[name] for name in names) for key, names in default.items()})
    if automatic:
        config.AS = Array(
            [
                Dictionary(Event=Name(f"/{event}"), OCGs=every, Category=Array([Name(f"/{event}")]))
                for event in ("Print", "View")
            ]
        )
    pdf.Root.OCProperties = Dictionary(OCGs=every, D=config)
    return pdfs.saved(pdf)


def usage(on_paper: str, on_screen: str) -> Dictionary:
    return Dictionary(
        Print=Dictionary(PrintState=Name(f"/{on_paper}")), View=Dictionary(ViewState=Name(f"/{on_screen}"))
    )


PAPER, SCREEN = usage("ON", "OFF"), usage("OFF", "ON")


def rows(data: bytes, count: int) -> list[bool]:
    """Which of the lines can be seen."""
    picture = pdfs.drawn(data)
    bands = [picture.crop((36, 46 + 20 * n - 10, 300, 46 + 20 * n + 4)) for n in range(count)]
    return [min(band.getextrema()) < 128 for band in bands]


@pytest.mark.parametrize("off", [[], ["paper"], ["paper", "plain"]])
def test_layers_are_as_a_printer_prints_them(off):
    """What is for paper is faxed, what is for the screen is not, and told; plain ones are as a viewer shows them."""
    made = fit.fit(layered({"paper": PAPER, "screen": SCREEN, "plain": None}, OFF=off))
    assert rows(made.data, 3) == [True, False, "plain" not in off]
    assert made.notes == ("screen-only",)


def test_a_layer_s_usage_counts_only_where_the_document_asks_for_it():
    """Without /AS the lists of the document count (ISO 32000-1 section 8.11.4.4)."""
    made = fit.fit(layered({"paper": PAPER, "screen": SCREEN}, automatic=False, OFF=["paper"]))
    assert rows(made.data, 2) == [False, True]
    assert made.notes == ()  # who opens it sees no more


def test_layers_survive_when_documents_are_joined():
    """Each document's layers stay as they are printed."""
    one = fit.fit(layered({"paper": PAPER, "screen": SCREEN})).data
    two = fit.fit(layered({"off": None, "on": None}, OFF=["off"])).data
    joined = fit.join([one, two])
    assert rows(joined, 2) == [True, False]
    assert [min(pdfs.drawn(joined, 1).crop((36, top, 300, top + 14)).getextrema()) < 128 for top in (36, 56)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("name", ["AA", "AF", "EF", "JS", "OPI", "Ref", "Thumb", "Metadata", "Measure"])
def test_a_font_may_be_named_as_it_likes(name):
    """Names of resources are free (ISO 32000-1 section 7.8.3): a font called /JS is a font."""
    pdf = pdfs.empty()
    page = pdfs.page(pdf, b"BT /%s 30 Tf 72 700 Td (M) Tj ET" % name.encode())
    square = Stream(pdf, b"1000 0 0 0 750 750 d1 0 0 750 750 re f")
    procs = pdf.make_indirect(Dictionary({f"/{name}": pdf.make_indirect(square)}))
    font = Dictionary(
        Type=Name.Font, Subtype=Name.Type3, FontBBox=Array([0, 0, 750, 750]), FontMatrix=Array([0.001, 0, 0, 0.001, 0, 0]),
        CharProcs=procs, Encoding=Dictionary(Differences=Array([77, Name(f"/{name}")])),
        FirstChar=77, LastChar=77, Widths=Array([1000]), Resources=Dictionary(),
    )  # fmt: skip
    fonts = pdf.make_indirect(Dictionary({f"/{name}": pdf.make_indirect(font)}))
    page.obj.Resources = Dictionary(Font=fonts)
    made = fit.fit(pdfs.saved(pdf))
    assert "rastered" not in made.notes
    assert pdfs.ink(made.data) > 50
