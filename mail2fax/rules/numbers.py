"""What a number of the North American plan is: the ordinary kinds, and those that cost or reach nobody. Data, pure.

Sources: NANPA's reports "NPA Database", "5XX-NXX and 900-NXX codes" and its list of geographic and non-geographic
codes in service (nanpa.com); CNAC's Canadian adjunct for 600 and 622 (cnac.ca); ATIS-0300115 for the 555 line
numbers 0100 to 0199 that are kept for fiction and tests. Which area codes are Canadian and which belong to a US
state comes from libphonenumber's tables, pinned with the package; tests hold the two sources against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

TOLLFREE = frozenset({"800", "833", "844", "855", "866", "877", "888"})

TERRITORIES: Mapping[str, str] = {
    "340": "the US Virgin Islands",
    "670": "the Northern Mariana Islands",
    "671": "Guam",
    "684": "American Samoa",
    "787": "Puerto Rico",
    "939": "Puerto Rico",
}

# Country code +1, and charged as a call abroad: the usual aim of toll fraud.
ABROAD: Mapping[str, str] = {
    "242": "the Bahamas",
    "246": "Barbados",
    "264": "Anguilla",
    "268": "Antigua and Barbuda",
    "284": "the British Virgin Islands",
    "345": "the Cayman Islands",
    "441": "Bermuda",
    "473": "Grenada",
    "649": "the Turks and Caicos Islands",
    "658": "Jamaica",
    "664": "Montserrat",
    "721": "Sint Maarten",
    "758": "Saint Lucia",
    "767": "Dominica",
    "784": "Saint Vincent and the Grenadines",
    "809": "the Dominican Republic",
    "829": "the Dominican Republic",
    "849": "the Dominican Republic",
    "868": "Trinidad and Tobago",
    "869": "Saint Kitts and Nevis",
    "876": "Jamaica",
}

CLOSED_AREAS: Mapping[str, str] = {
    "900": "a premium-rate number",
    "700": "a carrier's own service",
    "710": "the US government's emergency service",
    "456": "an inbound international service",
    **dict.fromkeys(("600", "622", "633", "644", "655", "677", "688"), "a Canadian non-geographic service"),
    **dict.fromkeys(("500", "521", "522", "523", "524", "525", "526", "527"), "a personal number"),
    **dict.fromkeys(("528", "529", "532", "533", "544", "566", "577", "588"), "a personal number"),
    **{f"{first}11": "a service code" for first in range(2, 10)},
}

CLOSED_EXCHANGES: Mapping[str, str] = {
    "976": "in a premium-rate exchange",
    "555": "in exchange 555: directory assistance, or not in service",
    "950": "a carrier's access code",
    "958": "a test line of the telephone companies",
    "959": "a test line of the telephone companies",
    **{f"{first}11": "a service code, not an exchange" for first in range(2, 10)},
}

_ORDINARY = {PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a number leads."""

    kind: str  # what `[numbers] allow` calls it: CA, US, territories, tollfree; "" is opened by a prefix only
    name: str  # in words after "is": "a toll-free number"
    digits: int  # how many leading digits tell so: a prefix must be as long to open it


@lru_cache(maxsize=8192)
def destination(number: str) -> Destination:
    """Where these ten digits lead."""
    area, exchange = number[:3], number[3:6]
    if exchange in CLOSED_EXCHANGES and not fictional(number):
        return Destination("", CLOSED_EXCHANGES[exchange], 6)
    if area in CLOSED_AREAS:
        return Destination("", CLOSED_AREAS[area], 3)
    if area in ABROAD:
        return Destination("", f"in {ABROAD[area]}, charged as a call abroad", 3)
    if area in TERRITORIES:
        return Destination("territories", f"in {TERRITORIES[area]}, a US territory", 3)
    if area in TOLLFREE:
        return Destination("tollfree", "a toll-free number", 3)
    return _listed(number)


def fictional(number: str) -> bool:
    """Whether the number is one of those kept for fiction and tests, 555-0100 to 555-0199."""
    return number[3:8] == "55501"


def _listed(number: str) -> Destination:
    """What libphonenumber says. Only an ordinary line of Canada or the US is either's."""
    parsed = PhoneNumber(country_code=1, national_number=int(number))
    region = phonenumbers.region_code_for_number(parsed)
    if region in {"CA", "US"} and phonenumbers.number_type(parsed) in _ORDINARY:
        return Destination(region, {"CA": "in Canada", "US": "in the United States"}[region], 3)
    return Destination("", "in an area code that is not assigned", 3)
