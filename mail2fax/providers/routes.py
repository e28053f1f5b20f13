"""Which provider each fax line speaks to. Lines of one provider share it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mail2fax.config import FaxLine, Settings
from mail2fax.config import Provider as ProviderSettings
from mail2fax.model import Line
from mail2fax.providers import Provider, addressed, open_provider

DEFAULT = ""
"""The name of the line that [provider] itself is."""


@dataclass(frozen=True, slots=True)
class Route:
    """One fax line: what it is called at which provider."""

    line: Line
    provider: Provider


def open_routes(
    settings: Settings, wrap: Callable[[Provider], Provider] = lambda provider: provider
) -> dict[str, Route]:
    """All lines by name. `wrap` is put around each provider. Raises UnusableProvider."""
    opened: dict[str, Provider] = {}
    routes = {}
    for name, wanted in sections(settings).items():
        own = json.dumps(_shared(wanted), sort_keys=True)
        if own not in opened:
            opened[own] = wrap(open_provider(settings.model_copy(update={"provider": wanted})))
        routes[name] = Route(line_of(name, wanted), opened[own])
    return routes


async def close(routes: Mapping[str, Route]) -> None:
    """Close every provider once."""
    for provider in {id(route.provider): route.provider for route in routes.values()}.values():
        await provider.close()


def sections(settings: Settings) -> dict[str, ProviderSettings]:
    """What holds for each line, by its name: [provider], with what its [[line]] says otherwise."""
    lines = {one.name: addressed(_of(settings.provider, one)) for one in settings.line}
    return {DEFAULT: addressed(settings.provider), **lines}


def line_of(name: str, wanted: ProviderSettings) -> Line:
    """What an adapter is told of a line."""
    return Line(name, wanted.token.get_secret_value(), wanted.account, wanted.from_number, wanted.options)


def _of(default: ProviderSettings, line: FaxLine) -> ProviderSettings:
    """A line at another provider takes nothing over that is of the first: no address, no account."""
    other = bool(line.provider) and line.provider != default.name
    inherited = ProviderSettings() if other else default
    # At Rinble a token is the line: another line never speaks under the first one's.
    token = line.token if line.token.get_secret_value() or default.name in {"rinble", "sandbox"} else inherited.token
    own = {"token": token, "options": {**inherited.options, **line.options}}
    named = {"url": line.url, "account": line.account, "from_number": line.from_number, "ca_file": line.ca_file}
    own |= {key: value for key, value in named.items() if value}
    own |= {"name": line.provider or default.name, "timeout": default.timeout, "concurrency": default.concurrency}
    return inherited.model_copy(update=own).of_line(line)


def _shared(wanted: ProviderSettings) -> dict[str, object]:
    """What makes two lines differ in their provider, not only in what they are called there."""
    return wanted.model_dump(mode="json", include={"name", "url", "ca_file", "timeout", "concurrency"})
