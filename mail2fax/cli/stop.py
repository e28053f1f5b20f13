"""`mail2fax cancel` for a fax that the provider has: the next look tells what came of it."""

from mail2fax.model import Fax, Refused, Stopped, Verdict
from mail2fax.providers.routes import close, open_routes
from mail2fax.spool import Spool, Work, operator


async def ask(spool: Spool, fax: Fax, who: str) -> None:
    """Ask, and note who wished it. Raises Refused with the reason when it cannot be stopped."""
    routes = open_routes(spool.settings)
    try:
        route = routes.get(fax.line)
        if route is None:
            raise Refused(f'{fax.id}: there is no [[line]] named "{fax.line}" any more')
        answer = await route.provider.cancel(route.line, fax.provider_ref)
    except Verdict as verdict:
        raise Refused(f"{fax.id}: the provider could not be asked: {verdict.note}") from None
    finally:
        await close(routes)
    if answer is Stopped.CANNOT:
        raise Refused(f"{fax.id} is submitted: this provider cannot stop a fax that it has")
    if answer is Stopped.TOO_LATE:
        raise Refused(f"{fax.id} is over at the provider: its outcome comes with the next look")
    await spool.hand_on(Work.POLL, operator.stopping, fax.id, who)
