"""Every accepted mail and fax, durable: the only door to the database and to the contents beside it.

What others may use is named here; and the functions of `questions`, `search`, `overview` and `operator`, which
`Spool.read`, `Spool.change` and `Spool.hand_on` run in a transaction.
"""

from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.database.lock import Busy
from mail2fax.spool.database.unavailable import SpoolUnavailable
from mail2fax.spool.database.wakeup import LOOK_SECONDS
from mail2fax.spool.filing import Account
from mail2fax.spool.opening import database_file, is_served, migrate, open_spool, revision
from mail2fax.spool.spool import Spool
from mail2fax.spool.work import NEEDED, Work

__all__ = [
    "LOOK_SECONDS",
    "NEEDED",
    "Account",
    "Busy",
    "Incoming",
    "Spool",
    "SpoolUnavailable",
    "Work",
    "database_file",
    "is_served",
    "migrate",
    "open_spool",
    "revision",
]
