"""
What can be changed from a page. Each form is sent by POST, does what the command of that name does, and leads back.
How long a change takes depends on the run: a hundred thousand jobs are sent again in the time that they need.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.errors import UsageError
from oaflow.ledger.workers import workers
from oaflow.operations import limiting, running
from oaflow.operations.detaching import detach
from oaflow.operations.states import folders_from_here, wanted_run
from oaflow.web.gate import form_of
from oaflow.web.site import Site, site_of


def _pause(site: Site, run: str, form: dict[str, str]) -> None:
    running.pause(site.settings, run)


def _resume(site: Site, run: str, form: dict[str, str]) -> None:
    with site.desk.apart() as made:
        found = wanted_run(made, run)
        running.go_on(made, found, folders_from_here(found))
    _worked_on(site, run)


def _worked_on(site: Site, run: str) -> None:
    """
    On the private server each run brings its own workers: where those of this one have ended with their command, it
    gets others.
    """
    if not site.desk.database.embedded:
        return
    with site.desk.apart() as made:
        alive = any(one.run in (None, run) for one in workers(made, site.settings.dead_after))
    if not alive:
        detach(site.settings, run, 1)


def _cancel(site: Site, run: str, form: dict[str, str]) -> None:
    running.cancel(site.settings, run)


def _retry(site: Site, run: str, form: dict[str, str]) -> None:
    with site.desk.apart() as made:
        found = wanted_run(made, run)
        running.send_again(made, found, stage=form.get("stage") or None, cause=form.get("cause") or None)
    _worked_on(site, run)


_OF_RUNS: dict[str, Callable[[Site, str, dict[str, str]], None]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "retry": _retry,
}


def change(request: Request) -> Response:
    """
    Changes a run.
    """
    run, what = request.path_params["run"], request.path_params["what"]
    if what not in _OF_RUNS:
        raise UsageError(f"nothing that can be done with a run is named {what!r}")
    _OF_RUNS[what](site_of(request), run, form_of(request))
    return site_of(request).led(f"/runs/{run}")


def limit(request: Request) -> Response:
    """
    Sets or clears the limits of a task.
    """
    form = form_of(request)
    concurrency = form.get("concurrency", "").strip()
    if concurrency and (not concurrency.isascii() or not concurrency.isdigit() or not 0 < int(concurrency) < 1_000_000):
        raise UsageError(f"{concurrency!r} is no number of jobs that run at once", help="a number from 1 on")
    clear = "clear" in form
    limiting.limit(
        site_of(request).settings,
        form.get("name", "").strip(),
        concurrency=int(concurrency) if concurrency and not clear else None,
        rate=form.get("rate", "").strip() or None if not clear else None,
        clear=clear,
    )
    return site_of(request).led("/limits")


ROUTES = [
    Route("/runs/{run}/{what}", change, methods=["POST"]),
    Route("/limits", limit, methods=["POST"]),
]
