"""What is wrong with the settings, in words that name the place and the way out.

`mail2fax.toml: [provider] tokn: unknown key, did you mean "token"?` Secrets, and URLs that may hold one, are never
repeated.
"""

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mail2fax.config.keys import BY_NAME, BY_VARIABLE, KEYS, Key, sections
from mail2fax.model.text import cut

SECTIONS = dict(sections())
LINES_FORM = 'write it as [[line]], in the environment as [{"name": "…", "senders": ["…"], "token_file": "…"}]'


def of(error: ValidationError, where: Callable[[str, str, int], str]) -> list[str]:
    """One line a problem; `where(section, key, entry)` names the place a value came from."""
    return [_place(found["loc"], where) + _complaint(found) for found in error.errors(include_url=False)]


def unknown_variable(name: str) -> str:
    """A variable that looks like a setting and is none."""
    return f"{name}: unknown setting{_meant(name, BY_VARIABLE, quote='')}"


def _place(place: tuple[Any, ...], where: Callable[[str, str, int], str]) -> str:
    section = str(place[0]) if place else ""
    entry = place[1] if section == "line" and len(place) > 1 else -1
    keys = place[2:] if section == "line" else place[1:]
    return where(section, str(keys[0]) if keys else "", entry) + ": "


def _complaint(found: ErrorDetails) -> str:
    place, kind = found["loc"], found["type"]
    section, name = (str(place[0]) if place else ""), (str(place[-1]) if place else "")
    if kind == "extra_forbidden":
        return _unknown(section, name) if len(place) > 1 else _unknown_section(name, found["input"])
    if kind == "missing":
        return "is missing"
    key = next((BY_NAME[section, str(part)] for part in place[1:] if (section, part) in BY_NAME), None)
    if kind == "value_error":
        return f"{found['ctx']['error']}{_instead(key, found['input'])}"
    if key is None:
        return LINES_FORM if section == "line" else f"write it as a section, [{section}]"
    return f"must be {key.wanted}{_instead(key, found['input'])}"


def _unknown(section: str, name: str) -> str:
    near = _meant(name, SECTIONS[section].model_fields)
    homes = [f"[{key.section}]" for key in KEYS if key.name == name and key.section != "line"]
    if not near and homes:
        return f"unknown key, it belongs to {' or '.join(homes)}"
    return f"unknown key{near}"


def _unknown_section(name: str, value: Any) -> str:
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return f"unknown section{_meant(name, SECTIONS)}"
    homes = [f"[{key.section}]" for key in KEYS if key.name == name and key.section != "line"]
    return f"stands outside of any section{', it belongs to ' + ' or '.join(homes) if homes else ''}"


def _meant(name: str, known: Iterable[str], quote: str = '"') -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {quote}{near[0]}{quote}?" if near else ""


def _instead(key: Key | None, value: Any) -> str:
    if key is None or not key.speakable or not isinstance(value, str | int | float):
        return ""
    return f", not {cut(json.dumps(value), 80)}"
