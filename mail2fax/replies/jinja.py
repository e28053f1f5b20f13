"""Jinja, set up twice: in its sandbox for what the administrator wrote, and quick for what we wrote ourselves.

The quick one leaves out what Jinja asks at every step and our own templates answer always alike: whether an attribute
is safe, whether a file was changed, what a text is called in this language.
"""

import gettext
from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

_TEXTS = 512  # a language has 200


class _Compiled(BytecodeCache):
    """Templates compiled once for all languages: they differ in the texts that are looked up while writing."""

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
_COMPILED = {(safe, html): _Compiled() for safe in (False, True) for html in (False, True)}


class _Context(Context):
    """Jinja asks of whatever is called whether it wants to see the context: nothing that our templates call does."""

    def call(self, called: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call it. Jinja's own word about the block and the loop is for those that want to see the context."""
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        return called(*args, **kwargs)


class _Quick(Environment):
    """Without a sandbox."""

    context_class = _Context

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """One dict, for nothing is added later: each import goes through all of them, and a ChainMap is slow at it."""
        return {**self.globals, **(d or {})}


def quick(folder: Path, texts: gettext.NullTranslations, *, html: bool) -> Environment:
    """For the shipped templates, which do not change while we run."""
    environment = _Quick(
        loader=FileSystemLoader(folder), auto_reload=False, bytecode_cache=_COMPILED[False, html], **_manners(html=html)
    )
    _install(environment, texts)
    environment.globals.update(_spoken(texts, Markup if html else str))
    return environment


def sandboxed(folders: Sequence[Path], texts: gettext.NullTranslations, *, html: bool) -> Environment:
    """For templates of the administrator's, and the shipped ones behind them; a change is seen at the next reply."""
    loader = ChoiceLoader([FileSystemLoader(folder) for folder in folders])
    environment = ImmutableSandboxedEnvironment(
        loader=loader, bytecode_cache=_COMPILED[True, html], **_manners(html=html)
    )
    _install(environment, texts)
    return environment


def _manners(*, html: bool) -> dict[str, Any]:
    return {
        "autoescape": html,
        "undefined": StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
        "extensions": ["jinja2.ext.i18n"],
    }


def _install(environment: Environment, texts: gettext.NullTranslations) -> None:
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]


def _spoken(texts: gettext.NullTranslations, kind: type[str]) -> dict[str, Callable[..., str]]:
    """What `trans` calls, as Jinja has it, but a text is looked up once. `kind` is Markup where values are escaped."""

    @lru_cache(_TEXTS)
    def one(text: str) -> str:
        return kind(texts.gettext(text))

    @lru_cache(_TEXTS)
    def counted(text: str, plural: str, number: float) -> str:
        return kind(texts.ngettext(text, plural, number))  # type: ignore[arg-type]

    return {
        "gettext": lambda text, /, **values: one(text) % values,
        "ngettext": lambda text, plural, number, /, **values: counted(text, plural, number) % {"num": number, **values},
    }
