"""Bytes in whatever charset a mail names -> text. Never fails: what cannot be read becomes U+FFFD."""

import codecs
import re

_NAME = re.compile(r"[\w.:+-]{1,40}\Z", re.ASCII)
# Names that mailers write, and what they mean: the larger set wherever one extends the other.
_MEANT = {
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "windows-31j": "cp932",
}
# Python's own codecs that are no charsets; some of them take quadratic time.
_NOT_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}


def decode(data: bytes, charset: str) -> str:
    """The text; UTF-8 and then Windows-1252 when the charset is unknown or does not fit."""
    for name in (_known(charset), "utf-8"):
        try:
            return data.decode(name)
        except UnicodeError:
            continue
    # 0x81 and its four kin mean nothing in Windows-1252.
    return data.decode("cp1252", "replace")


def _known(charset: str) -> str:
    name = charset.strip().lower()
    name = _MEANT.get(name, name)
    if not _NAME.match(name):
        return "utf-8"
    try:
        found = codecs.lookup(name).name
        b"".decode(found)  # raises LookupError for codecs from bytes to bytes
    except (LookupError, UnicodeError):
        return "utf-8"
    return "utf-8" if found in _NOT_CHARSETS else found
