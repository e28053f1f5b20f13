"""The sandbox's magic numbers: what each of them makes it do. Data only; `mail2fax sandbox --help` prints it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType

from mail2fax.model import Cause


class Shape(StrEnum):
    """What the answer to a POST looks like."""

    JSON = auto()  # as documented
    NO_UUID = auto()
    CUT = auto()  # JSON that ends in its middle
    HTML = auto()
    LOST = auto()  # the connection is closed instead
    HANG = auto()  # never


Words = tuple[tuple[float, str], ...]
"""The status that holds from so many seconds after the fax was taken."""

AT_ONCE: Words = ((0.0, "Success"),)
FAILED: Words = ((0.0, "Failed"),)
USUAL: Words = ((0.0, "Loading"), (0.5, "Converting"), (1.0, "Pending"), (1.5, "Sending"), (2.5, "Success"))


def _slow(seconds: float, last: str = "Success") -> Words:
    return ((0.0, "Loading"), (1.0, "Converting"), (2.0, "Pending"), (3.0, "Sending"), (seconds, last))


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one number makes the sandbox do. A fax is known again by its file name."""

    what: str  # for people, one line
    words: Words = USUAL
    http: int = 200
    error_code: int = 0  # in a 200, as the vendor's sister endpoints do it
    retry_after: int | None = None  # seconds
    tries: int | None = None  # how many first tries of a fax are answered so, the next is taken; None: each
    pause: float = 0.0  # seconds before the answer
    shape: Shape = Shape.JSON
    bad_polls: int = 0  # how many first polls are answered 500
    cause: Cause = Cause.UNSPOKEN  # of a failure, for the dialects that tell one
    pages_sent: int = 0  # of a failure

    @property
    def loses(self) -> bool:
        """Whether the fax is taken and the answer never comes, for dialects whose answer has no shape."""
        return self.shape is not Shape.JSON

    @property
    def takes(self) -> bool:
        """Whether the fax is taken, whatever the answer then looks like."""
        return self.http == 200 and not self.error_code


INSTANT = Scenario("for load tests: Success at the first poll, whatever the number", AT_ONCE)
DEFAULT = Scenario("any other number: Success after 2.5 s, through every stage")

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "4165550100": Scenario("Success at the first poll", AT_ONCE),
        "4165550101": Scenario("Success after 10 s", _slow(10)),
        "4165550102": Scenario("Success after 60 s", _slow(60)),
        "4165550103": Scenario("Success after 5 minutes", _slow(300)),
        "4165550110": Scenario("Failed at the first poll", FAILED),
        "4165550111": Scenario("Failed after 10 s", _slow(10, "Failed")),
        "4165550112": Scenario("Failed: busy", FAILED, cause=Cause.BUSY),
        "4165550113": Scenario("Failed: no answer", FAILED, cause=Cause.NO_ANSWER),
        "4165550114": Scenario("Failed: a voice answers", FAILED, cause=Cause.NO_FAX),
        "4165550115": Scenario("Failed: cut after the first page", FAILED, cause=Cause.HUNG_UP, pages_sent=1),
        "4165550116": Scenario("Failed: the number is not in service", FAILED, cause=Cause.NUMBER_INVALID),
        "4165550117": Scenario("Failed: the account has no credit", FAILED, cause=Cause.ACCOUNT),
        "4165550120": Scenario(
            "words that are not documented, then Success after 4 s",
            ((0.0, "Queued"), (1.0, "Busy, redialing"), (4.0, "Success")),
        ),
        "4165550121": Scenario("never a last word: Sending for ever", ((0.0, "Sending"),)),
        "4165550122": Scenario("the first three polls are answered 500, then Success", AT_ONCE, bad_polls=3),
        "4165550130": Scenario("HTTP 401 twice: the line is held until the third try is taken", http=401, tries=2),
        "4165550131": Scenario("error_code 401 in a 200, twice, then taken", error_code=401, tries=2),
        "4165550132": Scenario("HTTP 403 each time: the line stays held", http=403),
        "4165550140": Scenario("429 with Retry-After: 5, twice, then taken", http=429, retry_after=5, tries=2),
        "4165550141": Scenario("503 with Retry-After: 5, twice, then taken", http=503, retry_after=5, tries=2),
        "4165550150": Scenario("HTTP 400: this fax is refused for good", http=400),
        "4165550151": Scenario("error_code 413 in a 200: too large, refused for good", error_code=413),
        "4165550160": Scenario("HTTP 500: the outcome is unknown", http=500),
        "4165550161": Scenario("503 without Retry-After: the outcome is unknown", http=503),
        "4165550170": Scenario("takes the fax, then closes the connection without an answer", shape=Shape.LOST),
        "4165550171": Scenario("takes the fax and never answers", shape=Shape.HANG),
        "4165550172": Scenario("takes the fax, answers HTML", shape=Shape.HTML),
        "4165550173": Scenario("takes the fax, answers half of the JSON", shape=Shape.CUT),
        "4165550174": Scenario("takes the fax, answers without a uuid", shape=Shape.NO_UUID),
        "4165550180": Scenario("answers after 10 s, then the usual way to Success", pause=10.0),
    }
)
