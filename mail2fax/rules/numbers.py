"""What a number of the North American plan is: the ordinary kinds, and those that cost or reach nobody. Data, pure.

Sources: NANPA's reports "NPA Database", "5XX-NXX and 900-NXX codes" and its list of geographic and non-geographic
codes in service (nanpa.com); CNAC's Canadian adjunct for 600 and 622 (cnac.ca); ATIS-0300051 for the codes that are set
aside; ATIS-0300115 for the 555 line numbers. Which area codes are Canada's and the US states' stands in `area_codes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mail2fax.rules import area_codes

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

SERVICE_CODES = frozenset(f"{first}11" for first in range(2, 10))

CLOSED_AREAS: Mapping[str, str] = {
    "900": "a premium-rate number",
    "700": "a carrier's own service",
    "710": "the US government's emergency service",
    "456": "an inbound international service",
    **dict.fromkeys(("600", "622", "633", "644", "655", "677", "688"), "a Canadian non-geographic service"),
    **dict.fromkeys(("500", "521", "522", "523", "524", "525", "526", "527"), "a personal number"),
    **dict.fromkeys(("528", "529", "532", "533", "544", "566", "577", "588"), "a personal number"),
    **dict.fromkeys(SERVICE_CODES, "a service code"),
}

# No town has these: toll-free codes to come and other easily recognizable codes (N22, N33 …), and two blocks set aside.
_SET_ASIDE = re.compile(r"[2-9]([02-8])\1|37[0-9]|96[0-9]|88[0-9]")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a number leads."""

    kind: str  # as `[numbers] allow` has it: CA, US, territories, tollfree; or "unassigned", "service", "" for others
    name: str  # in words after "is": "a toll-free number"
    digits: int  # how many leading digits tell so: a prefix must be as long to open it


def destination(number: str) -> Destination:
    """Where these ten digits lead."""
    if number[3:6] in SERVICE_CODES:
        return Destination("service", "a service code, not an exchange", 6)
    if number[:3] in TOLLFREE:  # any other exchange is an ordinary one there
        return Destination("tollfree", "a toll-free number", 3)
    if number[3:6] == "976":
        return Destination("", "in a premium-rate exchange", 6)
    if number[3:] == "5551212":
        return Destination("", "directory assistance", 10)
    return _by_area(number[:3])


def _by_area(area: str) -> Destination:
    if area in CLOSED_AREAS:
        return Destination("service" if area in SERVICE_CODES else "", CLOSED_AREAS[area], 3)
    if area in ABROAD:
        return Destination("", f"in {ABROAD[area]}, charged as a call abroad", 3)
    if area in TERRITORIES:
        return Destination("territories", f"in {TERRITORIES[area]}, a US territory", 3)
    return _geographic(area)


def _geographic(area: str) -> Destination:
    if area in area_codes.CANADA:
        return Destination("CA", "in Canada", 3)
    if area in area_codes.UNITED_STATES:
        return Destination("US", "in the United States", 3)
    if _SET_ASIDE.fullmatch(area):
        return Destination("", "in an area code that is not assigned", 3)
    return Destination("unassigned", f"in an area code that this version, of {area_codes.AS_OF}, does not know", 3)
