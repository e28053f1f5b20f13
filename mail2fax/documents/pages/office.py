"""Office files as PDF, by LibreOffice if the machine has it. Inside the worker: limited, without network.

A letter fits the shipped limits (1 GB, measured with LibreOffice 7.4, 3 s); a large presentation may want more memory.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from mail2fax.documents.pages.inspection import refusal
from mail2fax.model import Reason

# LibreOffice chooses its filter by the name.
_ENDINGS = {
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/rtf": ".rtf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.presentation": ".odp",
}


def to_pdf(data: bytes, kind: str, folder: Path) -> bytes:
    """The file as LibreOffice prints it.

    Raises Permanent: DAMAGED; UNSUPPORTED (detail: kind) when there is no LibreOffice, or none that reads this kind.
    """
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if not program or kind not in _ENDINGS:
        raise refusal(Reason.UNSUPPORTED, kind=kind)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source = Path(place, f"document{_ENDINGS[kind]}")
        source.write_bytes(data)
        subprocess.run(  # noqa: S603 -- no shell, and every argument is ours
            [
                program,
                *("--headless", "--norestore", "--nolockcheck", "--nodefault"),
                f"-env:UserInstallation={Path(place, 'profile').as_uri()}",
                *("--convert-to", "pdf", "--outdir", place, str(source)),
            ],
            check=False,
            env=os.environ | {"HOME": place, "TMPDIR": place},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return source.with_suffix(".pdf").read_bytes()
        except FileNotFoundError:  # its exit status is 0 even when it could not read the file
            raise refusal(Reason.DAMAGED) from None
