"""Time zones by the newest data at hand: the system's, or that of the `tzdata` package, whichever is younger.

Governments change their clocks at short notice. `zoneinfo` alone would read the system's files, however old they are.
"""

import zoneinfo
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from zoneinfo import ZoneInfo

_VERSION = "# version "  # how the first line of tzdata.zi begins
_PACKAGE = files("tzdata") / "zoneinfo"


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of this name, such as America/Toronto. Raises ValueError, KeyError or OSError where there is none."""
    known = ZoneInfo(name)  # refuses what is no name of a zone, before it becomes a path
    if system_version() >= package_version():
        return known
    file_in_package = _PACKAGE.joinpath(*name.split("/"))
    if not file_in_package.is_file():
        return known
    with file_in_package.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def package_version() -> str:
    """Such as 2026f: of the data that were installed with mail2fax."""
    return _version(_PACKAGE / "tzdata.zi")


def system_version() -> str:
    """Such as 2025b; "" where the system has no data, or does not say how old they are."""
    found = (Path(folder) / "tzdata.zi" for folder in zoneinfo.TZPATH)
    return next((_version(file) for file in found if file.is_file()), "")


def _version(file: Traversable) -> str:
    with file.open(encoding="ascii", errors="replace") as lines:
        line: str = lines.readline()
    return line.removeprefix(_VERSION).strip() if line.startswith(_VERSION) else ""


def source() -> str:
    """Which data are used, in words for operators."""
    system, package = system_version(), package_version()
    if system >= package:
        return f"tzdata {system} of the system"
    return f"tzdata {package} of the Python package; the system has {system or 'none'}"


def offset(moment: datetime) -> str:
    """UTC-05:00. Never an abbreviation: "PST" stays -08:00 for readers even where the clocks now show -07:00."""
    digits = f"{moment:%z}"
    return f"UTC{digits[:3]}:{digits[3:5]}"
