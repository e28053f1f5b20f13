"""Where the files that come with mail2fax lie: beside the package in a source tree, inside it in a wheel."""

from pathlib import Path


def templates() -> Path:
    """The folder of the templates; below it "cover", "reply" and "web"."""
    package = Path(__file__).parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"
