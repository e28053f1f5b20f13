"""Times in replies: by the newest time zone data there are, and named by what the clocks show."""

import zoneinfo
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from babel import Locale

from mail2fax import timezones
from mail2fax.replies.filters import Wording

NOVEMBER = datetime(2026, 11, 23, 19, 3, 55, tzinfo=UTC)


@pytest.fixture
def system(tmp_path):
    """Makes the system's time zone data: of this version, with Vancouver on the winter time it had before."""

    def make(version: str) -> None:
        (tmp_path / "America").mkdir()
        winter = files("tzdata").joinpath("zoneinfo", "Etc", "GMT+8").read_bytes()
        (tmp_path / "America" / "Vancouver").write_bytes(winter)
        if version:
            (tmp_path / "tzdata.zi").write_text(f"# version {version}\nR d 1916\n")
        zoneinfo.reset_tzpath([tmp_path])
        forget()

    def forget() -> None:
        zoneinfo.ZoneInfo.clear_cache()
        timezones.zone.cache_clear()

    yield make
    zoneinfo.reset_tzpath()
    forget()


@pytest.mark.parametrize("version", ["2025b", ""])
def test_old_data_of_the_system_do_not_count(system, version):
    """British Columbia keeps its clocks at -07:00 since 2026: an old Debian does not know it, the package does."""
    system(version)
    wording = Wording(Locale.parse("en_CA"), "America/Vancouver")
    assert wording.when(NOVEMBER) == "November 23, 2026, 12:03 p.m. UTC-07:00"
    assert timezones.source() == f"tzdata {timezones.package_version()} of the Python package; the system has " + (
        version or "none"
    )


def test_newer_data_of_the_system_count(system):
    """An administrator who keeps the system up to date need not wait for us."""
    system("2099a")
    assert Wording(Locale.parse("en_CA"), "America/Vancouver").when(NOVEMBER).endswith("11:03 a.m. UTC-08:00")
    assert timezones.source() == "tzdata 2099a of the system"


@pytest.mark.parametrize(
    ("name", "locale", "shown"),
    [
        ("America/Vancouver", "en_CA", "12:03 p.m. UTC-07:00"),
        ("America/Edmonton", "fr_CA", "13 h 03 UTC-06:00"),
        ("America/Winnipeg", "en_CA", "2:03 p.m. UTC-05:00"),
        ("America/Toronto", "fr_CA", "14 h 03 UTC-05:00"),
        ("America/St_Johns", "en_CA", "3:33 p.m. UTC-03:30"),
        ("Asia/Kolkata", "en_CA", "12:33 a.m. UTC+05:30"),
    ],
)
def test_a_time_names_its_offset(name, locale, shown):
    """What the clocks there show, in whatever data this machine has, and how far that is from UTC."""
    assert Wording(Locale.parse(locale), name).when(NOVEMBER).endswith(shown)


@pytest.mark.parametrize("name", ["Mars", "", "../etc/passwd", "/etc/localtime", "America/../../x", "America"])
def test_what_is_no_zone_is_an_error(name):
    """Never a file somewhere else."""
    with pytest.raises((ValueError, KeyError, OSError)):
        timezones.zone(name)
