"""Optional content (ISO 32000-1 section 8.11): a fax shows what a printer prints of a document's layers.

Which layers a reader shows depends on what it is doing: there are layers for the screen and layers for paper. Here that
is decided once, and what travels on has nothing but a plain list of those that are off.
"""

import pikepdf
from pikepdf import Array, Dictionary, Name


def settle(pdf: pikepdf.Pdf) -> bool:
    """Decide which layers are printed. Whether that changed anything in the document."""
    layers = pdf.Root.get("/OCProperties")
    if not isinstance(layers, Dictionary):
        return False
    groups = _groups(layers, "/OCGs")
    used = [group for group in groups if _differs(group.get("/Usage"))]
    if not used:
        return False
    off = [group for group in groups if group.objgen in _off(layers, groups)]
    for group in used:
        del group["/Usage"]
    layers.D = Dictionary(OFF=Array(off), Order=Array([]))
    return True


def only_on_screens(pdf: pikepdf.Pdf) -> bool:
    """Whether a reader shows a layer that a printer does not print. To be asked before they are settled."""
    layers = pdf.Root.get("/OCProperties")
    if not isinstance(layers, Dictionary):
        return False
    groups = _groups(layers, "/OCGs")
    return bool(_off(layers, groups) - _off(layers, groups, "View"))


def _differs(usage: object) -> bool:
    """Whether a layer says when it is shown; PDFium believes it even where the document does not ask for that."""
    return isinstance(usage, Dictionary) and ("/Print" in usage or "/View" in usage)


def _off(layers: Dictionary, groups: list[pikepdf.Object], event: str = "Print") -> set[tuple[int, int]]:
    """The layers that are not printed (or at "View" not shown), by their object numbers: sections 8.11.4.3 and .4."""
    default = layers.get("/D")
    off = {group.objgen for group in _groups(default, "/OFF")}
    if isinstance(default, Dictionary) and default.get("/BaseState") == Name.OFF:
        off = {group.objgen for group in groups} - {group.objgen for group in _groups(default, "/ON")}
    automatic = default.get("/AS") if isinstance(default, Dictionary) else None
    for rule in automatic if isinstance(automatic, Array) else ():
        if isinstance(rule, Dictionary) and rule.get("/Event") == Name(f"/{event}"):
            for group in _groups(rule, "/OCGs"):
                state = _state(group, event)
                if state == Name.OFF:
                    off.add(group.objgen)
                elif state == Name.ON:
                    off.discard(group.objgen)
    return off


def _state(group: pikepdf.Object, event: str) -> object:
    """What a layer says of itself for printing, or for a view; None when it says nothing."""
    usage = group.get("/Usage")
    then = usage.get(f"/{event}") if isinstance(usage, Dictionary) else None
    return then.get(f"/{event}State") if isinstance(then, Dictionary) else None


def _groups(holder: object, key: str) -> list[pikepdf.Object]:
    groups = holder.get(key) if isinstance(holder, Dictionary) else None
    if not isinstance(groups, Array):
        return []
    return [group for group in groups if isinstance(group, Dictionary) and group.is_indirect]


class Layers:
    """The layers of a new document: what was off in the old ones must not appear in it."""

    def __init__(self, new: pikepdf.Pdf) -> None:
        self._new = new
        self._all: list[pikepdf.Object] = []
        self._off: list[pikepdf.Object] = []

    def copy(self, old: pikepdf.Pdf) -> None:
        """Take over the layers of a document whose pages were taken over."""
        layers = old.Root.get("/OCProperties")
        if not isinstance(layers, Dictionary):
            return
        groups = _groups(layers, "/OCGs")
        off = _off(layers, groups)
        self._all += map(self._new.copy_foreign, groups)
        self._off += [self._new.copy_foreign(group) for group in groups if group.objgen in off]

    def write(self) -> None:
        """Say in the new document which layers there are, and which are off."""
        if self._all:
            self._new.Root.OCProperties = Dictionary(
                OCGs=Array(self._all), D=Dictionary(OFF=Array(self._off), Order=Array([]))
            )
