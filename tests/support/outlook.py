"""Outlook's .msg for tests: an OLE compound file ([MS-CFB]) with attachments ([MS-OXMSG]), written by hand."""

import struct

SECTOR = 512
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_ATTACHMENT, _DATA, _NAME, _EMBEDDED = (
    "__attach_version1.0_#{:08X}",
    "__substg1.0_37010102",
    "__substg1.0_3707001F",
    "__substg1.0_3701000D",
)


def outlook(*files: tuple[str | None, bytes | dict]) -> bytes:
    """A .msg with these attachments, by name; a name of None and a tree of `outlook_within` is a mail."""
    return compound(_tree(files))


def outlook_within(*files: bytes) -> dict:
    """A mail that is attached to another, with these files."""
    return _tree([(f"{number}.pdf", data) for number, data in enumerate(files)])


def _tree(files) -> dict:
    tree: dict = {"__properties_version1.0": bytes(32)}
    for number, (name, data) in enumerate(files):
        held = {_EMBEDDED: data} if name is None else {_DATA: data, _NAME: name.encode("utf-16-le")}
        tree[_ATTACHMENT.format(number)] = held
    return tree


def compound(tree: dict) -> bytes:
    """All streams in sectors of their own; those under 4096 bytes, which would live in another place, are filled up."""
    entries: list[list] = []  # name, kind, child, next, start, size
    sectors: list[bytes] = []
    fat: list[int] = []

    def stream(data: bytes) -> tuple[int, int]:
        data = data.ljust(4096, b"\0")
        start, size = len(sectors), len(data)
        pieces = [data[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, len(data), SECTOR)]
        sectors.extend(pieces)
        fat.extend([*range(start + 1, start + len(pieces)), END])
        return start, size

    def storage(name: str, children: dict, kind: int) -> int:
        number = len(entries)
        entries.append([name, kind, FREE, FREE, 0, 0])
        last = FREE
        for key, value in sorted(children.items(), key=lambda item: (len(item[0]), item[0].upper()), reverse=True):
            if isinstance(value, dict):
                child = storage(key, value, 1)
            else:
                child = len(entries)
                entries.append([key, 2, FREE, FREE, *stream(value)])
            entries[child][3] = last  # a tree that is a list: each has only a right neighbour
            last = child
        entries[number][2] = last
        return number

    storage("Root Entry", tree, 5)
    directory = b"".join(
        (name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0")
        + struct.pack("<HBBIII", 2 * len(name) + 2, kind, 1, FREE, right, child)
        + bytes(36) + struct.pack("<IQ", start if kind == 2 else 0, size)
        for name, kind, child, right, start, size in entries
    )  # fmt: skip
    first, _ = stream(directory + (bytes(64) + struct.pack("<III", FREE, FREE, FREE) + bytes(52)) * (-len(entries) % 4))
    tables = (len(fat) + 140) // 128 + 1
    table_at = len(sectors)
    fat.extend([FAT] * tables)
    fat.extend([FREE] * (tables * 128 - len(fat)))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, tables, first, 0, 4096, END, 0, END, 0)
    header += struct.pack("<109I", *[table_at + n if n < tables else FREE for n in range(109)])
    return header + b"".join(sectors) + struct.pack(f"<{len(fat)}I", *fat)
