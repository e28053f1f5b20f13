"""An error that only the use of a setting shows names the file, the section and the key, as one of the settings does."""

import socket
import subprocess

import pytest

from mail2fax.config import ConfigError, Settings, files, load
from mail2fax.providers import UnusableProvider
from mail2fax.providers.routes import open_routes
from mail2fax.replies.letters import Letters
from mail2fax.smtp.tls import open_contexts
from tests.support.processes import command

LINE = '[{"name": "lab", "senders": ["*@lab.example"], "ca_file": "/nowhere/lab.pem"}]'


async def test_every_file_is_looked_at_before_anything_begins(tmp_path):
    """`serve` tells of all at once, with the status of wrong settings, and makes nothing."""
    file = tmp_path / "mail2fax.toml"
    (tmp_path / "cover.typ").mkdir()
    file.write_text(
        '[smtp]\nusers_file = "users"\ntls_certificate = "cert.pem"\n[cover]\ntemplate = "cover.typ"\n'
        '[provider]\nname = "sandbox"\nca_file = "ca.pem"\n[reply]\nrelay = "smtps://127.0.0.1:1"\n'
    )
    variables = {"MAIL2FAX_LINE": LINE, "MAIL2FAX_REPLY__RELAY_CA_FILE": "relay.pem"}
    code, _, errors = await command(file, "serve", **variables)
    assert (code, sorted(errors.splitlines())) == (
        2,
        sorted(
            [
                f"mail2fax: {file}: [smtp] users_file: cannot read {tmp_path}/users: No such file or directory",
                f"mail2fax: {file}: [smtp] tls_certificate: cannot read {tmp_path}/cert.pem: No such file or directory",
                f"mail2fax: {file}: [cover] template: cannot read {tmp_path}/cover.typ: Is a directory",
                f"mail2fax: {file}: [provider] ca_file: cannot read {tmp_path}/ca.pem: No such file or directory",
                'mail2fax: MAIL2FAX_LINE: [[line]] "lab" ca_file: cannot read /nowhere/lab.pem: No such file or directory',
                f"mail2fax: MAIL2FAX_REPLY__RELAY_CA_FILE: cannot read {tmp_path}/relay.pem: No such file or directory",
            ]
        ),
    )
    assert not (tmp_path / "spool.db").exists()


async def test_what_a_service_may_not_look_into(tmp_path, stranger):
    """Folders that are shut: each is told in words, and templates are left to the shipped ones."""
    shut, file = stranger.folder / "shut", stranger.folder / "mail2fax.toml"
    (shut / "templates").mkdir(parents=True)
    (shut / "ca.pem").touch()
    shut.chmod(0o700)
    how = {"program": (*stranger.under, *stranger.program), **stranger.env}
    file.write_text(
        f'[provider]\nname = "sandbox"\nca_file = "{shut}/ca.pem"\n[reply]\ntemplates = "{shut}/templates"\n'
    )
    code, _, errors = await command(file, "serve", **how)
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith(
        f"mail2fax: {file}: [provider] ca_file: cannot read {shut}/ca.pem: Permission denied; chgrp"
    )
    file.write_text(f'[spool]\nurl = "sqlite:///{shut}/spool.db"\n[provider]\nname = "sandbox"\n')
    code, _, errors = await command(file, "serve", **how)
    assert (code, errors) == (1, f"mail2fax: {file}: [spool] url: {shut}/spool.db: Permission denied\n")
    file.write_text(f'[spool]\nurl = "sqlite:///{stranger.home}/spool.db"\n[reply]\ntemplates = "{shut}/templates"\n')
    code, printed, _ = await command(file, "check", "--json", **how)
    said = {found["what"]: found["said"] for found in printed["findings"]}
    assert f"{file}: [reply] templates: cannot read the folder {shut}/templates: Permission denied" in said["templates"]


@pytest.mark.parametrize(("section", "key"), [("smtp", "listen"), ("web", "listen"), ("web", "operate")])
async def test_an_address_that_another_program_has(tmp_path, section, key):
    """Whoever reads the journal learns which of them it is."""
    file = tmp_path / "mail2fax.toml"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        places = {"smtp": {"listen": '["127.0.0.1:0"]'}, "web": {}}
        places[section][key] = f'["{address}"]' if section == "smtp" else f'"{address}"'
        text = "".join(
            f"[{name}]\n" + "".join(f"{one} = {value}\n" for one, value in keys.items())
            for name, keys in places.items()
        )
        (tmp_path / "users").touch(mode=0o600)
        text = text.replace("[smtp]", '[smtp]\nusers_file = "users"')
        file.write_text(f'{text}[provider]\nname = "sandbox"\n')
        code, _, errors = await command(file, "serve")
    said = f"{address}: Address already in use by another program: `ss -ltnp` says which"
    assert (code, errors) == (1, f"mail2fax: {file}: [{section}] {key}: {said}\n")


def test_a_certificate_that_is_none(tmp_path):
    """Which of the two files is at fault, and why; a key with a password is not asked for at the terminal."""
    make = f"openssl req -x509 -newkey rsa:2048 -subj /CN=fax.local -out {tmp_path}/cert.pem -keyout {tmp_path}/key.pem"
    subprocess.run([*make.split(), "-passout", "pass:canary-7391"], check=True, capture_output=True)
    file, cert, key = tmp_path / "mail2fax.toml", tmp_path / "cert.pem", tmp_path / "key.pem"
    (tmp_path / "none.pem").write_text("canary-7391")
    for named, problem in {
        ("none.pem", "key.pem"): f"tls_certificate: {tmp_path}/none.pem: holds no certificate in PEM form",
        ("cert.pem", "none.pem"): f"tls_key: {tmp_path}/none.pem: holds no private key in PEM form",
        ("cert.pem", ""): f"tls_certificate: {cert}: holds no private key in PEM form",
        ("cert.pem", "key.pem"): f"tls_key: {key}: the key has a password, and nobody is there to type it",
    }.items():
        file.write_text(f'[smtp]\ntls_certificate = "{named[0]}"\n' + (f'tls_key = "{named[1]}"\n' if named[1] else ""))
        with pytest.raises(ConfigError) as caught:
            open_contexts(load(file, {}).smtp)
        assert str(caught.value).startswith(f"{file}: [smtp] {problem}")
        assert "canary" not in str(caught.value)


def test_a_line_of_its_own(tmp_path):
    """What it inherits is told as [provider]'s, what it has as its own."""
    file = tmp_path / "mail2fax.toml"
    line = '[[line]]\nname = "lab"\nsenders = []\nprovider = "sinch"\n'
    for text, place in {
        f'[provider]\nfallback = "lab"\n{line}ca_file = "none"\n': '[[line]] "lab" ca_file',
        f'[provider]\nfallback = "lab"\n{line}'.replace("sinch", "nowhere:At"): '[[line]] "lab" provider',
        '[provider]\nname = "nowhere:At"\n': "[provider] name",
    }.items():
        file.write_text(text)
        with pytest.raises(UnusableProvider) as caught:
            open_routes(load(file, {}))
        assert str(caught.value).startswith(f"{file}: {place}")


def test_settings_without_a_file():
    """Made in code: section and key are what there is."""
    settings = Settings.model_validate({"smtp": {"users_file": "/nowhere/users"}})
    with pytest.raises(ConfigError, match=r"^\[smtp\] users_file: cannot read /nowhere/users: No such file"):
        files.require(settings)
    assert Settings().smtp.place("listen") == "[smtp] listen"
    assert load(None, {}).web.place("listen") == "[web] listen"
    assert Letters(load(None, {"MAIL2FAX_REPLY__LANGUAGE": "de"}), b"x").problems() == [
        'MAIL2FAX_REPLY__LANGUAGE "de": there is no catalogue of it'
    ]
