"""What tests share: a spool on each database, a fax API with faults, a recording mail server, a running node."""

import os
from pathlib import Path

import pytest

from mail2fax.settings import Settings
from mail2fax.spool import open_spool

pytest_plugins = ["tests.faxapi", "tests.postgres"]


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
    settings = Settings.model_validate({"spool": {"url": spool_url, "lease": 2.0}})
    async with open_spool(settings, serving=True, node="tester") as opened:
        yield opened
