"""Of whom the mark is asked, and that half of it is none."""

import pytest

from mail2fax.config import Smtp
from mail2fax.rules.required_header import RequiredHeader

HEAD = b"Subject: x\r\nX-Mark: secret mark"


@pytest.mark.parametrize(
    ("client", "head", "missing"),
    [
        ("192.0.2.9", HEAD, False),
        ("192.0.2.9", b"Subject: x", True),
        ("192.0.2.9", HEAD + b"s", True),
        ("192.0.2.9", b"Subject: X-Mark: secret mark", True),
        ("198.51.100.1", b"Subject: x", False),
        ("::ffff:192.0.2.9", b"Subject: x", True),
    ],
)
def test_the_mark(client, head, missing):
    """Exactly the value, in a header of that name, of clients in these networks."""
    rule = RequiredHeader(
        Smtp(required_header="X-Mark", required_header_value="secret mark", required_header_networks=["192.0.2.0/24"])
    )
    assert rule.is_missing(client, head) is missing


def test_no_mark_is_asked_for_by_default():
    """Nothing changes for whoever does not set it."""
    assert not RequiredHeader(Smtp()).is_missing("192.0.2.9", b"")


def test_a_name_without_a_value_is_a_mistake():
    """An empty value would let everybody in."""
    with pytest.raises(ValueError, match="needs required_header_value"):
        Smtp(required_header="X-Mark")
