"""What docs/relays.md tells an administrator to write, with the addresses of a test in their places."""

import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "relays.md"


def adapted(form: str, changes: Mapping[str, str], count: int = 1) -> list[str]:
    """The texts of the page that the group of this form finds, so many; what `changes` names must stand in the first."""
    found = re.findall(form, PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == count
    for written, meant in changes.items():
        assert written in found[0]
        found[0] = found[0].replace(written, meant)
    return found
