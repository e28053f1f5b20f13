"""Who a reverse-path is, behind the tags that mail servers write into it."""

import pytest

from mail2fax.rules import senders


@pytest.mark.parametrize(
    ("reverse_path", "sender"),
    [
        ("", ""),
        ("Ann@Office.example", "ann@office.example"),
        ("prvs=1234a1b2c3=ann@office.example", "ann@office.example"),
        ("PRVS=7791dd7436=Ann@office.example", "ann@office.example"),
        ("prvs=ann/1236c1b2c5@office.example", "ann@office.example"),
        ("prvs=0123456789=ann+lab@office.example", "ann+lab@office.example"),
        ("SRS0=abcd=T4=evil.example=ann@office.example", "ann@evil.example"),
        ("srs0+abcd=T4=evil.example=ann@office.example", "ann@evil.example"),
        ("SRS0-abcd=T4=evil.example=a=b@office.example", "a=b@evil.example"),
        ("SRS1=wxyz=first.example==abcd=T4=evil.example=ann@office.example", "ann@evil.example"),
        ("prvs=1234a1b2c3=SRS0=abcd=T4=evil.example=ann@office.example", "ann@evil.example"),
        ("ann+4162200001=fax.local@office.example", "ann@office.example"),
        # No tags, whatever they look like.
        ("prvs=12=bob@x.example", "prvs=12=bob@x.example"),
        ("prvs=ann@office.example", "prvs=ann@office.example"),
        ("srs0@office.example", "srs0@office.example"),
        ("ann+lab@office.example", "ann+lab@office.example"),
        ("ann+lab=results@office.example", "ann+lab=results@office.example"),
        ("ann", "ann"),
    ],
)
def test_who_it_is(reverse_path, sender):
    """BATV, SRS and VERP in the forms that are about; anything else stays as it is."""
    assert senders.behind(reverse_path) == sender
    assert senders.behind(sender) == sender
