"""The border to SQLAlchemy: of its errors nobody outside of the spool knows."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class SpoolUnavailable(Exception):  # noqa: N818 -- what it says is the error
    """The database cannot be reached, or does not do what was asked. The text is the database's own.

    `passing`: it may do so in a moment, as when it is locked or starts again.
    """

    def __init__(self, said: str, *, passing: bool) -> None:
        super().__init__(said)
        self.passing = passing


@contextlib.contextmanager
def mapped() -> Iterator[None]:
    """Raise SQLAlchemy's errors as SpoolUnavailable. What contradicts the schema is an error of ours, and stays one."""
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except SQLAlchemyError as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
        dropped = isinstance(error, DBAPIError) and error.connection_invalidated  # the next one may do better
        passing = dropped or isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)
        raise SpoolUnavailable(said, passing=passing) from error
