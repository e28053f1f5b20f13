"""What tests share: a spool on each database, a fax API with faults, a recording mail server, a running node."""

import asyncio
import contextlib
import copy
import os
import smtplib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mail2fax import log, node
from mail2fax.config import Settings
from mail2fax.model import Fax, State
from mail2fax.spool import open_spool, questions
from tests.support.patience import PATIENCE

pytest_plugins = [
    "tests.support.faxapi",
    "tests.support.outbox",
    "tests.support.postfix",
    "tests.support.exim",
    "tests.support.opensmtpd",
    "tests.support.postgres",
    "tests.support.stranger",
    "tests.support.workers",
]


@pytest.fixture(autouse=True)
def own_secrets():
    """What one test hides from the log is no secret to the next."""
    before = set(log.secrets._secrets)
    yield
    log.secrets._secrets.clear()
    log.secrets._secrets.update(before)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real mails and PDFs; tests that read it are skipped where it is absent."""
    default = Path(__file__).parent.parent.parent / "shared" / "corpus"
    folder = Path(os.environ.get("MAIL2FAX_CORPUS", default))
    if not folder.is_dir():
        pytest.skip("no corpus: set MAIL2FAX_CORPUS")
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def spool_url(request, tmp_path) -> str:
    """An empty spool's URL, once for each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/spool/spool.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def spool(spool_url):
    """An open spool."""
    settings = Settings.model_validate({"spool": {"url": spool_url, "lease": 60.0}})
    async with open_spool(settings, serving=True, node="tester") as opened:
        yield opened


_CLIENTS = ThreadPoolExecutor(16, "client")


@dataclass
class Bridge:
    """A running node between real sockets, and short ways to use it."""

    node: node.Node
    settings: Settings

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.node.addresses[0].rpartition(":")
        return host, int(port)

    async def send(self, mail: bytes, *recipients: str, sender: str = "anna@office.example") -> str:
        """Send by SMTP, in a thread. The queue id."""
        wanted = recipients or ("6474959659@fax.local",)
        return await asyncio.get_running_loop().run_in_executor(_CLIENTS, self.send_now, mail, wanted, sender)

    def send_now(self, mail: bytes, recipients, sender: str = "anna@office.example") -> str:
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.ehlo("client.example")
            client.mail(sender)
            for recipient in recipients:
                client.rcpt(recipient)
            code, text = client.data(mail)
        assert code == 250, (code, text)
        return text.decode().split()[-1]

    async def faxes(self, queue_id: str) -> list[Fax]:
        return await self.node.spool.read(questions.named, queue_id)

    async def until(self, queue_id: str, *states: State, seconds: float = PATIENCE) -> Fax:
        """The mail's first fax, once it is in one of these states."""
        async with asyncio.timeout(seconds):
            while (fax := (await self.faxes(queue_id))[0]).state not in states:
                await asyncio.sleep(0.02)
        return fax


@pytest.fixture
def bridge_settings(tmp_path, faxapi, outbox) -> dict[str, dict[str, Any]]:
    """Settings of a quick bridge between the fake fax API and the recording mail server."""
    return {
        "smtp": {"listen": ["127.0.0.1:0"]},
        "provider": {"url": faxapi.url, "token": "canary-token-7391", "timeout": 5.0},
        "spool": {"url": f"sqlite:///{tmp_path}/spool.db", "lease": 5.0, "drain": 2.0},
        "poll": {"first": 0.1, "longest": 0.3},
        "retry": {"first": 0.2, "longest": 0.5},
        "reply": {"relay": outbox.url, "retry_first": 0.2},
    }


@pytest.fixture
async def bridge(bridge_settings):
    """Starts a node: `await bridge(poll={"deadline": 2.0})`. It is put down at the end of the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**sections: dict[str, Any]) -> Bridge:
            wanted = copy.deepcopy(bridge_settings)
            for name, keys in sections.items():
                if isinstance(keys, dict):
                    wanted.setdefault(name, {}).update(keys)
                else:
                    wanted[name] = keys
            settings = Settings.model_validate(wanted)
            return Bridge(await stack.enter_async_context(node.running(settings)), settings)

        yield start
