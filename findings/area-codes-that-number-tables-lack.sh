#!/bin/bash
# Two tables of North American area codes, each wrong in its own way about what is in service.
#
# phonenumbers 9.0.43 (Google's libphonenumber, November 2026) calls numbers of codes invalid that state commissions
# opened one to three years before (436 Ohio, 2024; 861 Illinois, 2023; 729 Tennessee, 2025), and cuts single exchanges
# out of a code that it knows (983 Colorado: 983-500 is valid, 983-600 is not). phone-iso3166 0.4.1 lacks most of
# them, too, and yet answers "US" and "CA" for codes that are only planned (935 California, 460 and 387 Canada).
# So neither "valid" nor "has a country" says whether a call to an area code goes through.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install phonenumbers==9.0.43 phone-iso3166==0.4.1
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

import phonenumbers
from phone_iso3166.country import InvalidPhone, phone_country

print("phonenumbers", version("phonenumbers"), "phone-iso3166", version("phone-iso3166"))


def country(number):
    try:
        return phone_country("1" + number)
    except InvalidPhone:
        return "unknown"


def valid(number):
    return phonenumbers.is_valid_number(phonenumbers.PhoneNumber(country_code=1, national_number=int(number)))


SEEN = {
    # number: (valid by libphonenumber, country by phone-iso3166)
    "4165550123": (True, "CA"),
    "4362345678": (False, "unknown"),  # in service
    "8612345678": (False, "US"),  # in service
    "7292345678": (False, "unknown"),  # in service
    "9835002345": (True, "US"),
    "9836002345": (False, "US"),  # the same code, in service
    "9352345678": (False, "US"),  # planned
    "4602345678": (False, "CA"),  # planned
    "3872345678": (False, "CA"),  # planned
}
found = {number: (valid(number), country(number)) for number in SEEN}
for number, (good, where) in found.items():
    print(f"{number[:3]}-{number[3:6]}: libphonenumber {'valid' if good else 'invalid'}, phone-iso3166 {where}")
assert found == SEEN, "this changed"
PYTHON
