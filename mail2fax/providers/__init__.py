"""The one plug point: what a fax provider must be able to do, and how the one in the settings is found.

Whoever writes another provider implements `Provider` and passes tests/providers/test_providers.py.
"""

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from mail2fax.config import Settings
from mail2fax.config import settings as settings_
from mail2fax.model import Line, Progress

SANDBOX_LISTEN = "127.0.0.1:8026"
"""Where `mail2fax sandbox` listens unless told otherwise."""

Commit = Callable[[], Awaitable[None]]
"""Makes it durable that from now on the provider may have the fax."""


class Provider(Protocol):
    """A fax API. It is used by many tasks at once, and raises nothing but verdicts for what the other side does."""

    async def submit(self, line: Line, number: str, document: Path, name: str, commit: Commit) -> str:
        """Hand over a PDF for a ten-digit number; the answer is the provider ref.

        `name` is what the provider is told the file is called. `commit` is awaited exactly once, when all but the
        last bytes are sent: what fails before it is surely not taken (`Temporary`, `LineHeld`, `Permanent`), what
        fails after it is `Unclear` unless the provider said in words that it did not take the fax. An exception of
        `commit` ends the request without its end and comes through unchanged, as does a cancellation: the caller,
        who knows whether `commit` returned, judges it.
        """

    async def status(self, line: Line, ref: str) -> Progress:
        """What the provider says of a fax. Raises `Temporary` or `LineHeld`, never another verdict."""

    async def check(self, line: Line) -> None:
        """Reach the provider's address without sending anything. Raises `Temporary` with a note that says why not."""

    async def close(self) -> None:
        """Close what is open. No call may follow."""


class UnusableProvider(Exception):  # noqa: N818 -- an answer to an operator
    """What `[provider]` names cannot be used. The text says which key, and why."""


def open_provider(settings: Settings) -> Provider:
    """The provider that the settings name."""
    name = settings.provider.name
    if name in {"rinble", "sandbox"}:
        # Here, since the adapters need this module, and loading httpx takes a moment.
        from mail2fax.providers import rinble  # noqa: PLC0415

        return rinble.Rinble(settings.provider if name == "rinble" else _on_this_machine(settings.provider))
    return _plugged_in(name)(settings)


def _on_this_machine(settings: settings_.Provider) -> settings_.Provider:
    """The sandbox's own address, unless another is set: never the real provider's."""
    if settings.url != settings_.Provider().url:
        return settings
    return settings.model_copy(update={"url": f"http://{SANDBOX_LISTEN}/api/fax"})


def _plugged_in(name: str) -> Callable[[Settings], Provider]:
    """The class behind "package.module:Class". It is called with the settings."""
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise UnusableProvider(
            f'[provider] name = "{name}": no module named "{error.name}" is installed here'
        ) from None
    factory = getattr(module, class_name, None)
    if not callable(factory):
        raise UnusableProvider(f'[provider] name = "{name}": "{module_name}" has no class "{class_name}"')
    lacking = [method for method in ("submit", "status", "check", "close") if not hasattr(factory, method)]
    if lacking:
        raise UnusableProvider(f'[provider] name = "{name}": the class lacks {", ".join(lacking)}')
    return factory  # type: ignore[no-any-return]
