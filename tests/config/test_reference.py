"""docs/configuration.md says what the code does."""

import re
import tomllib
from pathlib import Path

from docs import reference
from mail2fax.config import loader
from mail2fax.config.keys import KEYS, sections

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_up_to_date():
    """The page is the one that the settings make: `make docs`."""
    assert PAGE.read_text("utf-8") == reference.configuration()


def test_everything_is_explained():
    """Each section and each key has words of its own, and each secret a `_file` beside it."""
    for name, kind in sections():
        assert kind.__doc__, name
    for key in KEYS:
        assert reference.explanations()[dict(sections())[key.section].__name__, key.name], key
        assert not key.secret or key.pair, key


def test_the_example_works(tmp_path):
    """The example on the page is a file that mail2fax reads."""
    example = re.search(r"```toml\n(.*?)```", reference.configuration(), re.DOTALL)[1]
    (tmp_path / "token").write_text("x")
    path = tmp_path / "mail2fax.toml"
    path.write_text(example.replace("/run/secrets/fax-token", "token"))
    assert loader.load(path, {}).smtp.domains == tomllib.loads(example)["smtp"]["domains"]
