"""What people call a file: a Word document, a photo, a ZIP file. Pure."""

_BY_TYPE = (  # the first that the content type begins with
    ("application/vnd.openxmlformats-officedocument.wordprocessingml", "word"),
    ("application/msword", "word"),
    ("application/vnd.ms-word", "word"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml", "excel"),
    ("application/vnd.ms-excel", "excel"),
    ("application/vnd.openxmlformats-officedocument.presentationml", "powerpoint"),
    ("application/vnd.ms-powerpoint", "powerpoint"),
    ("application/vnd.oasis.opendocument", "opendocument"),
    ("application/vnd.ms-outlook", "outlook"),
    ("application/rtf", "rtf"),
    ("text/rtf", "rtf"),
    ("image/heic", "heic"),
    ("image/heif", "heic"),
    ("image/", "picture"),
    ("audio/", "sound"),
    ("video/", "video"),
    ("text/html", "web-page"),
    ("application/xhtml", "web-page"),
    ("text/", "text"),
    ("application/pdf", "pdf"),
    ("message/", "mail"),
)
_BY_ENDING = {
    ending: species
    for species, endings in {
        "word": "doc docx docm dot dotx",
        "excel": "xls xlsx xlsm xlsb",
        "powerpoint": "ppt pptx pps ppsx",
        "opendocument": "odt ods odp odg",
        "apple": "pages numbers key",
        "outlook": "msg",
        "rtf": "rtf",
        "heic": "heic heif",
        "picture": "jpg jpeg png gif bmp webp svg tif tiff",
        "sound": "mp3 m4a wav ogg amr",
        "video": "mp4 mov avi mkv wmv 3gp",
        "zip": "zip",
        "archive": "rar 7z tar gz tgz",
        "web-page": "htm html mht mhtml",
        "text": "txt csv md log",
        "pdf": "pdf",
    }.items()
    for ending in endings.split()
}
_ZIP = ("application/zip", "application/x-zip")
_ARCHIVES = ("zip", "rar", "7z", "gzip", "tar", "compressed", "bzip2", "xz")


def species(content_type: str, name: str) -> str:
    """Such as "word", "heic" or "zip"; "" for what has no name of its own. A known type goes before the ending."""
    kind = content_type.lower()
    known = next((found for begin, found in _BY_TYPE if kind.startswith(begin)), "")
    if known and known != "text":
        return known
    by_name = _BY_ENDING.get(ending(name), known)
    if not by_name and kind.startswith(_ZIP):
        return "zip"
    if not by_name and kind.startswith("application/") and any(word in kind for word in _ARCHIVES):
        return "archive"
    return by_name


def ending(name: str) -> str:
    """What stands behind the last dot of a file's name, if that looks like a file's ending."""
    last = name.rpartition(".")[2].lower() if "." in name else ""
    return last if last.isalnum() and len(last) <= 5 else ""
