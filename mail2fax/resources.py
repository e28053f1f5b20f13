"""Where the files that come with mail2fax lie: beside the package in a source tree, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def templates() -> Path:
    """The folder of the templates; below it "cover", "reply" and "web"."""
    return _shipped("templates")


def unit() -> Path:
    """The systemd unit."""
    return _shipped("contrib/mail2fax.service")


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name
