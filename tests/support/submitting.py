"""What the tests of the provider `rinble` share."""

import contextlib

import pytest

from mail2fax.config import Provider
from mail2fax.model import Line, Verdict
from mail2fax.providers.rinble import Rinble
from tests.support.faxapi import Reply

LINE = Line("", "token-of-the-line")
NUMBER = "6474959659"
END = b'\r\nContent-Disposition: form-data; name="sendCover"'


def pdf(folder, size):
    path = folder / f"{size}.pdf"
    path.write_bytes(b"%PDF-1.7\n".ljust(size, b"\x8e")[:size])
    return path


@contextlib.asynccontextmanager
async def opened(url, **settings):
    """The provider, closed again."""
    provider = Rinble(Provider(url=url, **({"timeout": 5.0} | settings)))
    try:
        yield provider
    finally:
        await provider.close()


def shown(value):
    """A short name for a parameter."""
    return repr(value)[:60] if not isinstance(value, type) else value.__name__


class Commit:
    """Counts, and looks around when it is called."""

    def __init__(self, then=None):
        self.calls = 0
        self.then = then

    async def __call__(self, ref=""):
        self.calls += 1
        if self.then:
            await self.then()


async def verdict(provider, document, commit=None, number=NUMBER):
    """The verdict on a submission, which must come."""
    with pytest.raises(Verdict) as raised:
        await provider.submit(LINE, number, document, "2Q4X.pdf", commit or Commit())
    return raised.value


def url(server, scheme="http"):
    return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/fax"


def http(status, body=b"", *headers):
    """An answer of our own making."""
    return Reply(status, body, dict(headers))


TAKEN = b'{"uuid": "u-1", "status": "Loading"}'
