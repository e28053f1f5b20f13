"""Every accepted mail and fax, durable: the only door to the database and to the contents beside it."""

from mail2fax.spool.database.lock import Busy
from mail2fax.spool.spool import NOTICE, POLL, PREPARE, RECOVER, REPLY, SUBMIT, WORK, Spool, open_spool

__all__ = ["NOTICE", "POLL", "PREPARE", "RECOVER", "REPLY", "SUBMIT", "WORK", "Busy", "Spool", "open_spool"]
