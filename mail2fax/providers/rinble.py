"""Provider `rinble`: the fax API of Rinble / CallerIP over HTTP.

Never sends twice without proof that the first was not taken: the end of the POST is held back until the commit
(held), and every answer, error or silence is judged by whether the commit came before it (verdicts).
No token leaves this module: it travels in the form, and in the URL of every poll.
"""

from datetime import datetime
from pathlib import Path

from mail2fax import log
from mail2fax.config import Provider
from mail2fax.model import Capabilities, Line, Progress, Stopped, Trace
from mail2fax.providers import Commit, http, verdicts
from mail2fax.providers.held_body import HeldBody

_COVERS = (("sendCover", "N"), ("coverFrom", ""), ("coverTo", ""), ("coverSubject", ""), ("coverMessage", ""))


class Rinble:
    """See `providers.Provider`. One for the whole node."""

    capabilities = Capabilities()  # no reason, no pages, no cost, and no way to ask whether it took a fax

    def __init__(self, settings: Provider) -> None:
        self.api = http.Api(settings)

    async def submit(
        self,
        line: Line,
        number: str,
        document: Path,
        name: str,
        commit: Commit,
        reference: str = "",  # noqa: ARG002
    ) -> str:
        """Hand over a PDF; see `Provider.submit`. The API has no place for our reference but the file's name."""
        http.hide(line)
        with http.opened(document) as file:
            before = (("token", line.token), ("number", number))
            body = HeldBody(file, name, field="file", before=before, after=_COVERS)
            answer = await self.api.post("/send", body, commit)
        ref = verdicts.submission(answer, committed=body.committed, redact=log.redact)
        if not body.committed:
            # Taken without waiting for the end. The uuid proves it, so this late commit still comes in time.
            await commit()
        return ref

    async def status(self, line: Line, ref: str) -> Progress:
        """Ask for the fax's status; see `Provider.status`."""
        http.hide(line)
        answer = await self.api.ask("GET", "/status", params={"token": line.token, "uuid": ref})
        return verdicts.progress(answer, redact=log.redact)

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:  # noqa: ARG002
        """The API cannot be asked."""
        return Trace()

    async def cancel(self, line: Line, ref: str) -> Stopped:  # noqa: ARG002
        """The API has no such thing."""
        return Stopped.CANNOT

    async def forget(self, line: Line, ref: str) -> None:
        """The API has no such thing."""

    async def check(self, line: Line) -> None:  # noqa: ARG002 -- another provider may have an address for each line
        """Reach the address; see `Provider.check`."""
        await self.api.reach()

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()
