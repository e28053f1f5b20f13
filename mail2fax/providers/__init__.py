"""The one plug point: what a fax provider must be able to do, and how the one in the settings is found.

Whoever writes another provider implements `Provider` and passes tests/providers/test_providers.py.
"""

import importlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from mail2fax.config import Settings
from mail2fax.config import settings as settings_
from mail2fax.model import Capabilities, Line, Progress, Stopped, Trace

SANDBOX_LISTEN = "127.0.0.1:8026"
"""Where `mail2fax sandbox` listens unless told otherwise."""


class Commit(Protocol):
    """Makes it durable that from now on the provider may have the fax."""

    async def __call__(self, ref: str = "") -> None:
        """`ref` is the reference, where the provider gives one before it takes the fax."""


class Provider(Protocol):
    """A fax API. It is used by many tasks at once, and raises nothing but verdicts for what the other side does."""

    capabilities: Capabilities

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit, reference: str) -> str:
        """Hand over a PDF for a ten-digit number; the answer is the provider ref.

        `name` is what the provider is told the file is called, `reference` our own word for this fax, to be given
        along where the provider has a place for it. `commit` is awaited exactly once, when all but the last bytes are
        sent: what fails before it is surely not taken (`Temporary`, `LineHeld`, `Permanent`), what fails after it is
        `Unclear` unless the provider said in words that it did not take the fax. An exception of `commit` ends the
        request without its end and comes through unchanged, as does a cancellation: the caller, who knows whether
        `commit` returned, judges it.
        """

    async def status(self, line: Line, ref: str) -> Progress:
        """What the provider says of a fax. Raises `Temporary` or `LineHeld`, never another verdict."""

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:
        """Whether the provider has the fax of this reference, offered at `since`; asked where `capabilities.finds`.

        `ref` is what `commit` was told. Not seen proves nothing: `never` is said only of what cannot come any more.
        Raises `Temporary` or `LineHeld` when it cannot be asked now.
        """

    async def cancel(self, line: Line, ref: str) -> Stopped:
        """Ask the provider to stop a fax that it has; where `capabilities.cancels`. Raises as `find`."""

    async def forget(self, line: Line, ref: str) -> None:
        """The outcome is written down: let the provider delete what it keeps; where `capabilities.forgets`."""

    async def check(self, line: Line) -> None:
        """Reach the provider's address without sending anything. Raises `Temporary` with a note that says why not."""

    async def close(self) -> None:
        """Close what is open. No call may follow."""


class UnusableProvider(Exception):  # noqa: N818 -- an answer to an operator
    """What `[provider]` names cannot be used. The text says which key, and why."""


_BUILT_IN = {
    "rinble": ("mail2fax.providers.rinble:Rinble", settings_.Provider().url),
    "sandbox": ("mail2fax.providers.rinble:Rinble", f"http://{SANDBOX_LISTEN}/api/fax"),
    "sinch": ("mail2fax.providers.sinch:Sinch", "https://fax.api.sinch.com"),
    "telnyx": ("mail2fax.providers.telnyx:Telnyx", "https://api.telnyx.com/v2"),
    "hylafax": ("mail2fax.providers.hylafax:HylaFax", "hylafax://mail2fax@127.0.0.1:4559"),
}
"""The classes by name, each with the address that it has unless another is set: never another provider's."""


def open_provider(settings: Settings) -> Provider:
    """The provider that `[provider]` names."""
    wanted = addressed(settings.provider)
    if wanted.name not in _BUILT_IN:
        return _plugged_in(wanted.name, wanted.place("name"))(settings)
    # Loaded here, since the adapters need this module, and loading httpx takes a moment.
    return _plugged_in(_BUILT_IN[wanted.name][0], wanted.place("name"))(wanted)


def addressed(wanted: settings_.Provider) -> settings_.Provider:
    """The section with the provider's own address, unless another is set."""
    if wanted.name in _BUILT_IN and wanted.url == settings_.Provider().url:
        return wanted.model_copy(update={"url": _BUILT_IN[wanted.name][1]})
    return wanted


def _plugged_in(name: str, place: str) -> Callable[[Any], Provider]:
    """The class behind "package.module:Class". It is called with the settings, one of ours with its section of them."""
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UnusableProvider(f'{place} = "{name}": no module named "{error.name}" is installed here') from None
    factory = getattr(module, class_name, None)
    if not callable(factory):
        raise UnusableProvider(f'{place} = "{name}": "{module_name}" has no class "{class_name}"')
    needed = ("submit", "status", "find", "cancel", "forget", "check", "close", "capabilities")
    lacking = [attribute for attribute in needed if not hasattr(factory, attribute)]
    if lacking:
        raise UnusableProvider(f'{place} = "{name}": the class lacks {", ".join(lacking)}')
    return factory  # type: ignore[no-any-return]
