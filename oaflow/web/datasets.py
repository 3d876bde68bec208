"""
The pages of what is in datasets: all of them, search, and the passport of a document.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oaflow.operations import browsing, finding, tracing
from oaflow.operations.browsing import MOST_HITS, PAGE
from oaflow.web.site import site_of

# Letters of a query that are looked for.
_LONGEST_QUERY = 500


def datasets(request: Request) -> Response:
    """
    The datasets, by name.
    """
    site = site_of(request)
    with site.desk.connection() as made:
        found = browsing.datasets_of(made, site.desk.store)
    start = request.query_params.get("after", "")
    later = [one for one in found if one[0] > start]
    next = later[PAGE - 1][0] if len(later) > PAGE else None
    shown = browsing.sizes_of(site.desk, later[:PAGE])
    # Comes again until all are measured; what cannot be is not asked for by itself.
    again = any(one.sizes is None and one.problem is None for one in shown)
    return site.page(request, "datasets", datasets=shown, next=next, start=start, again=again)


def search(request: Request) -> Response:
    """
    The documents of a dataset that have all of the words.
    """
    site = site_of(request)
    typed = request.query_params.get("q", "").strip()
    # Where it is cut, half a word is left out: no document would have it.
    cut = typed[:_LONGEST_QUERY].rpartition(" ")[0] or typed[:_LONGEST_QUERY]
    words = typed if len(typed) <= _LONGEST_QUERY else cut.strip()
    asked = request.query_params.get("dataset") or None
    limit = MOST_HITS if request.query_params.get("more") else 20
    with site.desk.connection() as made:
        names = [name for name, _ in browsing.datasets_of(made, site.desk.store)]
        dataset = asked or (names[0] if len(names) == 1 else None)
        found, empty, problem = None, False, None
        try:
            found = finding.search_in(made, site.desk.store, dataset, words, limit) if dataset and words else None
        except finding.NoWordError as error:
            problem = error
        except finding.NoSuchDatasetError:
            # It is offered where it has had runs, also such that wrote nothing.
            empty = dataset in names
            if not empty:
                raise
        if found is not None and found.empty:
            found, empty = None, True
    return site.page(
        request,
        "search",
        q=words,
        dataset=dataset,
        names=names[:1000],
        found=found,
        empty=empty,
        problem=problem,
        cut=_LONGEST_QUERY if words != typed else None,
        limit=limit,
        most=MOST_HITS,
    )


def document(request: Request) -> Response:
    """
    What became of a document.
    """
    site = site_of(request)
    typed = request.query_params.get("of", "")[:2000].strip()
    dataset = request.query_params.get("dataset") or None
    run = request.query_params.get("run") or None
    traced = None
    if typed:
        with site.desk.connection() as made:
            # Not of files on this machine: who looks at the page need not be one who may see them.
            traced = tracing.trace_in(made, site.desk.store, typed, dataset=dataset, run=run, files=False)
    return site.page(request, "document", traced=traced, typed=typed, dataset=dataset, run=run)


ROUTES = [
    Route("/datasets", datasets, methods=["GET"]),
    Route("/search", search, methods=["GET"]),
    Route("/document", document, methods=["GET"]),
]
