"""
The pages of workers: those that are live, and the limits of tasks.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.ledger.limits import limits as limits_now
from oaflow.ledger.workers import Hand, hands
from oaflow.ledger.workers import workers as live_workers
from oaflow.web.site import site_of

# Of workers and limits so many are shown.
_MOST = 500


def workers(request: Request) -> Response:
    """
    The live workers, and what each can run.
    """
    site = site_of(request)
    with site.desk.connection() as made:
        found = live_workers(made, site.settings.dead_after)
        held = hands(made, [one.id for one in found[:_MOST]])
    now: dict[int, list[Hand]] = {}
    for hand in held:
        now.setdefault(hand.worker, []).append(hand)
    return site.page(
        request, "workers", workers=found[:_MOST], now=now, all=len(found), private=site.desk.database.embedded
    )


def limits(request: Request) -> Response:
    """
    What is limited, and by whom.
    """
    site = site_of(request)
    with site.desk.connection() as made:
        found = limits_now(made)
    return site.page(request, "limits", limits=found[:_MOST], all=len(found))


ROUTES = [
    Route("/workers", workers, methods=["GET"]),
    Route("/limits", limits, methods=["GET"]),
]
