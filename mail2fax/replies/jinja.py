"""Jinja as the replies want it: in its sandbox for what the administrator wrote, without for what we wrote."""

import gettext
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Compiled(BytecodeCache):
    """Templates compiled once for all languages, which differ in the texts alone: a quarter second of each start."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Any]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Jinja's question: is there code of this very source?"""
        checksum, code = self._kept.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Jinja's answer to itself."""
        self._kept[bucket.key] = (bucket.checksum, bucket.code)


# Escaping and the sandbox are compiled in.
_COMPILED = {(html, ours): _Compiled() for html in (False, True) for ours in (False, True)}


def environment(folders: Sequence[Path], texts: gettext.NullTranslations, *, html: bool, ours: bool) -> Environment:
    """Templates are looked for in these folders, in this order. `ours`: they are shipped, and do not change now."""
    kind = Environment if ours else ImmutableSandboxedEnvironment
    opened = kind(
        loader=FileSystemLoader(folders),
        auto_reload=not ours,
        bytecode_cache=_COMPILED[html, ours],
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    opened.policies["ext.i18n.trimmed"] = True
    opened.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    return opened
