"""What a sender may ask for by answering a reply: send again, or cancel. What makes no sense is refused with a reason.

Functions of a connection, run by the writer. Promise: of a fax that was sent again, nobody's answer sends one more
while that one is on its way, has arrived, or may have.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, RowMapping, insert, select

from mail2fax.model import WAITING, Reason, Refused, State
from mail2fax.rules import senders
from mail2fax.spool import operator
from mail2fax.spool.database.schema import deliveries, faxes, now

_UNSENT = frozenset({State.FAILED, State.UNKNOWN, State.CANCELLED})
_OVER = frozenset({State.FAILED, State.CANCELLED})  # surely did not arrive, and is not on its way


def may_ask(connection: Connection, fax_id: str, reverse_path: str, *, cancel: bool) -> None:
    """Raises Refused unless this sender may send this fax again, or cancel it, now."""
    row = operator.one(connection, fax_id)
    if row["sender"] != senders.behind(reverse_path):
        raise Refused(f"{row['id']}: only whoever sent this fax may ask for that, from the address it was sent from")
    if cancel:
        _refuse_unless_waiting(row)
    elif State(row["state"]) not in _UNSENT:
        raise Refused(f"{row['id']} is {row['state']}: only a fax that did not go through can be sent again")
    else:
        operator.refuse_unless_kept(connection, row, "mail it to the fax number again")


def cancel(connection: Connection, fax_id: str, who: str) -> str:
    """End a fax that was not handed to the provider yet. Its reply tells the sender."""
    _refuse_unless_waiting(operator.one(connection, fax_id))
    return operator.cancel(connection, fax_id, who, Reason.CANCELLED_BY_SENDER)


def _refuse_unless_waiting(row: RowMapping) -> None:
    if State(row["state"]) not in WAITING:
        raise Refused(f"{row['id']} is {row['state']}: a fax that the provider has can no longer be cancelled")
    if row["acting"]:
        # 4yz: the sender's mail server tries again by itself.
        raise Refused(f"450 4.2.1 {row['id']} is being worked on at this moment, try again in a minute")


def send_again(connection: Connection, key: str, fax_id: str, who: str, number: str, line: str) -> str:
    """Make a new fax of the same document. Its id.

    `number`: another one, with its fax line, or "". The same key again is the same wish, and gets the same new fax.
    Raises Refused.
    """
    known: str | None = connection.scalar(select(deliveries.c.fax_id).where(deliveries.c.key == key))
    if known:
        return known
    _refuse_second(connection, operator.one(connection, fax_id))
    fresh = operator.retry(connection, fax_id, who, number, line, again=True)  # that was looked at just now
    connection.execute(insert(deliveries).values(at=now()), {"key": key, "fax_id": fresh})
    return fresh


def _refuse_second(connection: Connection, row: RowMapping) -> None:
    """Refuse one more while another of the same origin is not surely over."""
    columns = (faxes.c.id, faxes.c.state, faxes.c.retry_of)
    query = select(*columns).where(faxes.c.message_id == row["message_id"]).with_for_update()
    all_of_mail = {str(one["id"]): one for one in connection.execute(query).mappings()}
    origin = _origin(str(row["id"]), all_of_mail)
    family = [one for name, one in all_of_mail.items() if _origin(name, all_of_mail) == origin]
    earlier = _lineage(str(row["id"]), all_of_mail)
    for one in family:
        state = State(one["state"])
        if one["id"] not in earlier and state not in _OVER:
            raise Refused(_already(str(row["id"]), str(one["id"]), state))


def _already(fax_id: str, other: str, state: State) -> str:
    if state is State.DELIVERED:
        return f"{fax_id} was sent again as {other}, and that one was delivered"
    if state is State.UNKNOWN:
        return f"{fax_id} was sent again as {other}, and that one may have arrived: answer the mail about {other}"
    return f"{fax_id} is being sent again as {other} already: wait for the mail about {other}"


def _origin(fax_id: str, all_of_mail: dict[str, RowMapping]) -> str:
    return list(_lineage(fax_id, all_of_mail))[-1]


def _lineage(fax_id: str, all_of_mail: dict[str, RowMapping]) -> Iterable[str]:
    """A fax, the one it was sent again in place of, and so on to the first."""
    names = []
    while fax_id in all_of_mail:
        names.append(fax_id)
        fax_id = str(all_of_mail[fax_id]["retry_of"])
    return names
