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
    ],
)
def test_a_key_that_would_do_nothing(tmp_path, section, key, value, needed):
    """Who wrote it believes that it holds: a header that nobody is asked for lets everybody in."""
    path = tmp_path / "mail2fax.toml"
    path.write_text(f"[{section}]\n{key} = {json.dumps(value)}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value) == f"{path}: [{section}]: {key} needs {needed}: without it, it does nothing"
