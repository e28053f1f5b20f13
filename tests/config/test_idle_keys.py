"""A key that does nothing without another one is refused when that is missing."""

import json

import pytest

from mail2fax.config import ConfigError, load


@pytest.mark.parametrize(
    ("section", "key", "value", "needed"),
    [
        ("smtp", "required_header_value", "mark", "required_header"),
        ("smtp", "required_header_networks", ["192.0.2.0/24"], "required_header"),
        ("smtp", "client_certificate_networks", ["192.0.2.0/24"], "client_certificates"),
        ("smtp", "client_ca_file", "ca.pem", "client_certificates"),
        ("reply", "dkim_selector", "fax", "dkim_key_file"),
        ("reply", "dkim_domain", "office.example", "dkim_key_file"),
        ("reply", "relay_oauth_client_id", "app", "relay_oauth_token_url"),
        ("reply", "relay_oauth_client_secret", "mark", "relay_oauth_token_url"),
        ("reply", "relay_oauth_scope", "mail", "relay_oauth_token_url"),
        ("reply", "daily_summary", "07:30", "admin"),
        ("smtp", "tls_key", "key.pem", "tls_certificate"),
        ("smtp", "tls_ciphers", "DEFAULT", "tls_certificate"),
        ("web", "operate_https", True, "operate"),
        ("web", "proxy_secret", "mark", "operate"),
        ("web", "proxy_user_header", "X-User", "proxy_secret"),
    ],
)
def test_a_key_that_would_do_nothing(tmp_path, section, key, value, needed):
    """Who wrote it believes that it holds: a header that nobody is asked for lets everybody in."""
    path = tmp_path / "mail2fax.toml"
    path.write_text(f"[{section}]\n{key} = {json.dumps(value)}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: [{section}]: {key} needs {needed}: without it, it does nothing"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[poll]\nfirst = 61\nlongest = 60", "[poll]: first is more than longest, 60.0: it would never be reached"),
        ("[retry]\nfirst = 5\nlongest = 4", "[retry]: first is more than longest, 4.0: it would never be reached"),
        (
            "[documents]\nkeep_days = 91\nhistory_days = 90",
            "[documents]: keep_days is more than history_days, 90.0: it would never be reached",
        ),
        (
            "[documents]\ncpu_seconds = 41\nwall_seconds = 40",
            "[documents]: cpu_seconds is more than wall_seconds, 40.0: it would never be reached",
        ),
        (
            "[smtp]\nmax_connections_per_client = 201\nmax_connections = 200",
            "[smtp]: max_connections_per_client is more than max_connections, 200: it would never be reached",
        ),
        (
            "[limits]\ntotal_pages_per_hour = 9\ntotal_pages_per_day = 8",
            "[limits]: total_pages_per_hour is more than total_pages_per_day, 8: it would never be reached",
        ),
        ("[smtp]\nlisten = []", "[smtp]: listen and listen_tls are both empty: no mail could come in"),
        (
            '[reply]\nrelay_password = "mark"',
            "[reply]: relay_password needs a user in relay: smtp+starttls://fax%40office.example@host:587",
        ),
        (
            '[reply]\nrelay_ca_file = "ca.pem"',
            "[reply]: relay_ca_file needs TLS to the relay: smtp+starttls:// or smtps://",
        ),
        ('[reply]\nresend = false\nsecret = "mark"', "[reply]: secret needs resend: without it, it does nothing"),
        (
            '[cover]\nenabled = "never"\ncompany = "Acme"',
            "[cover]: there is never a cover page: template and company need another `enabled`",
        ),
        ('[spool]\npassword = "mark"', "[spool]: password needs postgresql:// in url: an SQLite spool has none"),
        ('[web]\nhosts = ["fax.example"]', "[web]: hosts needs listen or operate: without a page, it does nothing"),
        (
            '[web]\noperate = "127.0.0.1:1"',
            "[web] operate needs [smtp] users_file: it says who may look and act there",
        ),
        ('[provider]\naccount = "a"', "[provider]: account is not for rinble: it does nothing there"),
        (
            '[provider]\nfallback = "a"\n[[line]]\nname = "a"\nsenders = []\nnumbers = ["+1416*"]',
            '[[line]] "a": numbers needs senders: without it, it does nothing',
        ),
    ],
)
def test_keys_that_gainsay_each_other(tmp_path, text, problem):
    """What was written and can never hold is refused; a default that another key makes idle is not."""
    path = tmp_path / "mail2fax.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: {problem}"


def test_a_trial_at_the_sandbox_is_one_variable(tmp_path):
    """docs/operations.md: the settings of any provider stay as they are meanwhile."""
    path = tmp_path / "mail2fax.toml"
    path.write_text('[provider]\nname = "telnyx"\naccount = "1"\nfrom_number = "4165550123"\nca_file = "ca.pem"\n')
    assert load(path, {"MAIL2FAX_PROVIDER__NAME": "sandbox"}).provider.name == "sandbox"


def test_what_is_left_at_its_default_gainsays_nothing(tmp_path):
    """Less than the default of its fellow is a wish of its own."""
    path = tmp_path / "mail2fax.toml"
    path.write_text(
        "[poll]\nlongest = 4\n[retry]\nlongest = 4\n[documents]\nhistory_days = 3\nwall_seconds = 10\n"
        "[smtp]\nmax_connections = 40\n[limits]\ntotal_faxes_per_hour = 9\n"
    )
    assert load(path, {}).poll.longest == 4
