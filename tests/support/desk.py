"""The operator's page, served over a real spool, and a browser-like client that is logged in."""

import contextlib
import functools
import io
import re
from typing import Any

import httpx

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.documents.pool import Pool
from mail2fax.health import Health
from mail2fax.operate import app
from mail2fax.smtp.users import Users, hash_line

PASSWORD = "correct horse 7391"  # one for all
ROLES = {"lou": ("look",), "ann": ("act",), "dora": ("act", "documents"), "scanner": ()}


def users_file(folder, changes=()) -> str:
    """Everybody of ROLES, with other roles where `changes` has some; None has no line."""
    path = folder / "users"
    roles = {**ROLES, **dict(changes)}
    path.write_text("".join(_line(name, theirs) for name, theirs in roles.items() if theirs is not None), "utf-8")
    path.chmod(0o600)
    return str(path)


@functools.cache
def _line(name: str, roles: tuple[str, ...]) -> str:
    return hash_line(name, PASSWORD, (), roles) + "\n"


class Desk:
    """A served operator's page."""

    def __init__(self, address: str, users: Users) -> None:
        self.address = address
        self.users = users  # reload() as SIGHUP does
        self.url = f"http://{address}"

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False)

    @contextlib.asynccontextmanager
    async def as_(self, name: str):
        async with self.browser() as client:
            answer = await client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            yield client


@contextlib.asynccontextmanager
async def serving(spool: Any, folder, **web: Any):
    sections = {"smtp": {"users_file": users_file(folder)}, "web": {"operate": "127.0.0.1:0", **web}}
    settings = Settings.model_validate(sections)
    users = Users(settings.smtp.users_file)
    log.configure("console", "info", io.StringIO())
    pool = Pool(settings.documents)
    try:
        async with app.serving(settings, spool, Health(("127.0.0.1:2525",)), pool, users) as address:
            yield Desk(address, users)
    finally:
        users.close()
        await pool.close()


def token(page: str) -> str:
    """The token of the form on this page."""
    return re.search(r'name="token" value="([^"]+)"', page)[1]


async def act(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """Ask for an act and say yes."""
    asked = await client.get(path)
    if asked.status_code != 200:
        return asked
    return await client.post(path, data={"token": token(asked.text)}, follow_redirects=True)
