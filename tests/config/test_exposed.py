"""Secrets that everybody on the machine may read are told, whichever file they stand in."""

import pytest

from mail2fax.config import exposed, load


def found(path, **environ):
    return exposed.files(load(path, environ))


def test_a_token_file_and_a_password_file(tmp_path):
    for name in ("token", "line.token", "password"):
        (tmp_path / name).write_text("canary-7391")
        (tmp_path / name).chmod(0o644)
    (tmp_path / "line.token").chmod(0o640)
    settings = tmp_path / "mail2fax.toml"
    settings.write_text(
        '[provider]\ntoken_file = "token"\n[[line]]\nname = "lab"\nsenders = ["*@lab.example"]\ntoken_file = "line.token"\n'
        '[reply]\nrelay = "smtps://fax@mail.example"\nrelay_password_file = "password"\n'
    )
    assert sorted(found(settings)) == [str(tmp_path / "password"), str(tmp_path / "token")]


def test_the_settings_themselves(tmp_path, monkeypatch):
    """Only if they hold a secret, and it is the one in force."""
    settings = tmp_path / "mail2fax.toml"
    settings.write_text('[provider]\ntoken = "canary-7391"\n')
    settings.chmod(0o644)
    assert found(settings) == [str(settings)]
    settings.chmod(0o640)
    assert found(settings) == []
    settings.chmod(0o644)
    settings.write_text("[smtp]\nmax_connections = 40\n")
    assert found(settings) == []
    monkeypatch.setenv("MAIL2FAX_PROVIDER__TOKEN", "canary-7391")
    assert found(settings, MAIL2FAX_PROVIDER__TOKEN="canary-7391") == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('[reply]\nrelay = "smtps://fax:canary-7391@mail.example"\n', True),
        ('[reply]\nrelay = "smtps://fax@mail.example"\n', False),
        ('[spool]\nurl = "postgresql://fax:canary-7391@db.example/fax"\n', True),
        ('[spool]\nurl = "postgresql://fax@db.example/fax?password=canary-7391"\n', True),
        ('[spool]\nurl = "postgresql://fax@db.example/fax"\n', False),
    ],
)
def test_a_password_in_a_url(tmp_path, text, secret):
    settings = tmp_path / "mail2fax.toml"
    settings.write_text(text)
    settings.chmod(0o644)
    assert found(settings) == [str(settings)] * secret
    settings.chmod(0o640)
    assert found(settings) == []


def test_a_users_file(tmp_path):
    """Its hashes can be guessed at leisure."""
    (tmp_path / "users").write_text("")
    settings = tmp_path / "mail2fax.toml"
    settings.write_text('[smtp]\nusers_file = "users"\ntls_certificate = "cert.pem"\n')
    (tmp_path / "users").chmod(0o640)
    assert found(settings) == []
    (tmp_path / "users").chmod(0o644)
    assert found(settings) == [str(tmp_path / "users")]


def test_private_keys(tmp_path):
    """A certificate is for everybody, unless its key stands in the same file."""
    for name in ("dkim.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("canary-7391")
        (tmp_path / name).chmod(0o644)
    settings = tmp_path / "mail2fax.toml"
    reply = '[reply]\ndkim_key_file = "dkim.pem"\ndkim_selector = "fax"\n'
    settings.write_text(reply + '[smtp]\ntls_certificate = "cert.pem"\ntls_key = "key.pem"\n')
    assert found(settings) == [str(tmp_path / "dkim.pem"), str(tmp_path / "key.pem")]
    (tmp_path / "dkim.pem").chmod(0o600)
    settings.write_text(reply + '[smtp]\ntls_certificate = "cert.pem"\n')
    assert found(settings) == [str(tmp_path / "cert.pem")]


def test_lines_from_the_environment(tmp_path):
    """Their tokens stand in no file: the settings, which hold no secret, are not blamed."""
    settings = tmp_path / "mail2fax.toml"
    settings.write_text("[smtp]\nmax_connections = 40\n")
    settings.chmod(0o644)
    line = '[{"name": "lab", "senders": ["*@lab.example"], "token": "canary-7391"}]'
    assert found(settings, MAIL2FAX_LINE=line) == []
    settings.write_text('[[line]]\nname = "lab"\nsenders = ["*@lab.example"]\ntoken = "canary-7391"\n')
    assert found(settings) == [str(settings)]
