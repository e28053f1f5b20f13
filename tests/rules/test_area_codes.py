"""The table of area codes against two packages: which of the three lags, and by what."""

import phone_iso3166.country
import phonenumbers
import pytest

from mail2fax.rules import area_codes, numbers

AREAS = [str(area) for area in range(200, 1000) if str(area)[1] != "9"]
# Planned, and counted by that package as if they were in service; or Canada's codes that are no place.
NOT_IN_SERVICE = {
    "387",
    "460",
    "487",
    "526",
    "527",
    "528",
    "537",
    "568",
    "600",
    "622",
    "627",
    "710",
    "764",
    "851",
    "871",
    "935",
}


def by_libphonenumber(area):
    """Whose an ordinary number of this area code is."""
    number = phonenumbers.PhoneNumber(country_code=1, national_number=int(f"{area}4951234"))
    ordinary = phonenumbers.number_type(number) in {0, 1, 2}
    return phonenumbers.region_code_for_number(number) if ordinary else None


def by_iso3166(area):
    """Whose the area code is."""
    try:
        return phone_iso3166.country.phone_country(f"1{area}4951234")
    except phone_iso3166.country.InvalidPhone:
        return None


def ours(area):
    return next((c for c, table in TABLES.items() if area in table), None)


TABLES = {"CA": area_codes.CANADA, "US": area_codes.UNITED_STATES}
PACKAGES = {
    # What each lacks. When an update brings one of these, the test says so: take it out here, and out of NEWER.
    f"phonenumbers {phonenumbers.__version__}": (by_libphonenumber, set(area_codes.NEWER), set()),
    "phone-iso3166 0.4.1": (
        by_iso3166,
        (set(area_codes.NEWER) - {"679", "861"}) | {"235", "686", "738", "748", "821"},
        NOT_IN_SERVICE,
    ),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_who_lags(package):
    """We know each code that a package knows to be in service; what a package lacks is written down."""
    asked, lacks, planned = PACKAGES[package]
    theirs = {area: asked(area) for area in AREAS}
    closed = {*numbers.TERRITORIES, *numbers.ABROAD, *numbers.CLOSED_AREAS}
    known = {area for area in AREAS if theirs[area] in TABLES and area not in closed}
    missing = sorted(known - planned - {area for area in AREAS if ours(area)})
    assert not missing, f"mail2fax lags behind {package}: {missing}"
    behind = {area for area in AREAS if ours(area) and theirs[area] != ours(area)}
    assert behind == lacks, f"{package} has caught up with {sorted(lacks - behind)}, lags by {sorted(behind - lacks)}"


def test_each_code_is_one_kind():
    """No code is two things, and none is set aside or abroad."""
    special = [set(numbers.TERRITORIES), set(numbers.ABROAD), set(numbers.CLOSED_AREAS), set(numbers.TOLLFREE)]
    groups = [set(area_codes.CANADA), set(area_codes.UNITED_STATES), *special]
    assert len(set().union(*groups)) == sum(map(len, groups))
    assert all(len(area) == 3 and area.isdigit() for group in groups for area in group)
