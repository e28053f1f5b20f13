"""The health of this node: `node` writes it, `web` reads it. A node without a page need not load `web` for it."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """Facts that only the node itself knows; the spool's stand in `overview`."""

    addresses: tuple[str, ...] = ()  # where mail is accepted; empty: it is not
    working: asyncio.Task[None] | None = None  # the worker's loop; None: not started yet
    draining: bool = False  # the node is about to end

    @property
    def alive(self) -> bool:
        """False only when a restart would help."""
        return self.draining or self.working is None or not self.working.done()

    @property
    def problems(self) -> list[str]:
        """Why this node should be given no mail now."""
        return [
            *(["draining"] if self.draining else []),
            *(["not listening"] if not self.addresses else []),
            *([] if self.alive and self.working else ["worker not running"]),
        ]
