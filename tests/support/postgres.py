"""A fresh PostgreSQL database for each test that asks for one.

The server is named by MAIL2FAX_TEST_POSTGRES, as postgresql://user:password@host:port/database; `.ci/postgres` starts
one and sets it. Without it these tests are skipped, and say so.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

VARIABLE = "MAIL2FAX_TEST_POSTGRES"


@contextlib.contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database, dropped with whoever is still connected at the end."""
    server = os.environ[VARIABLE]
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty database on a real PostgreSQL, for this test alone."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"no PostgreSQL: set {VARIABLE}, or run the tests by `make test`")
    with fresh_database() as url:
        yield url
