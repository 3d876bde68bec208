"""
`oaflow graph`: the graph of a pipeline with given params, and of a run with its counts.
"""

from collections.abc import Mapping

from oaflow.compiler.functions import Inspected, Inspector, import_folders
from oaflow.errors import OaflowError
from oaflow.graph import Graph
from oaflow.graph import graph_of as drawn_from
from oaflow.operations.programs import Program, without_required
from oaflow.plan import bind, check_params
from oaflow.settings import Settings

# The counts of a stage in a run, in the order in which they are shown; zeros are not shown.
_ENDED = ("done", "failed", "diverted", "unmatched", "vanished")


def graph_of(program: Program, given: Mapping[str, object] | None = None) -> Graph:
    """
    The graph of a program without mistakes, with the stages that are off under the given params (or their defaults).
    """
    plan = program.checked()
    loose = without_required(plan)
    values = check_params(loose, given or {})
    try:
        disabled = bind(loose, values).disabled
    except OaflowError:
        # A plan that cannot be bound without values can still be drawn: then only stages that are always off are off.
        disabled = {name: "enabled is false" for name, stage in plan.stages.items() if stage.enabled is False}
    return drawn_from(plan, disabled, descriptions=descriptions(program))


def graph_of_run(settings: Settings, run: str | None) -> Graph:
    """
    The graph of the plan of a run, with its progress: how many jobs are done, failed, waiting and running in each
    stage, about how many entities it has written to the store, and how many jobs took each edge.

    Args:
        run: an id; None: the latest.

    Raises:
        UsageError: there is no such run.
    """
    # Database code is imported only to draw a run, not to draw a pipeline.
    from oaflow.entities.holdings import spoken
    from oaflow.ledger.passed import doing, passed
    from oaflow.operations.binding import store_of
    from oaflow.operations.databases import database
    from oaflow.operations.states import in_order, plan_of, status_of, wanted_run

    with database(settings) as opened, opened.connect() as made:
        found = wanted_run(made, run)
        plan = plan_of(made, found)
        bound = bind(plan, found.params)
        status = status_of(made, found, in_order(bound))
        busy = doing(made, found.id)
        ways = {way.key: way.jobs for way in passed(made, found.id)}
        with store_of(settings, opened.address.uri) as store:
            told = spoken(store, found.dataset)
    counts: dict[str, dict[str, int]] = {}
    for name, stage in status.stages.items():
        ended = {word: getattr(stage, word) for word in _ENDED}
        # The counters are read before the rows, and jobs may end in between.
        waiting = max(0, stage.open - busy.get(name, 0))
        counts[name] = {**ended, "waiting": waiting, "running": busy.get(name, 0)}
        if name in bound.stages:
            counts[name]["entities"] = told.get(bound.stages[name].origin, 0)
    return drawn_from(plan, bound.disabled, counts, passed=ways)


def descriptions(program: Program) -> dict[str, str]:
    """
    The description of each stage: its own `description`, or the first line of its function's docstring.

    A function that cannot be imported has none: a pipeline can be drawn where it cannot run.
    """
    declared = program.pipeline.stages if program.pipeline is not None else {}
    said = {name: stage.description for name, stage in declared.items() if stage.description}
    unsaid = {name: stage.task for name, stage in declared.items() if name not in said and not stage.external}
    if not unsaid:
        return said
    found = Inspector(import_folders(program.source.file))(tuple(dict.fromkeys(unsaid.values())))
    for name, task in unsaid.items():
        match found.get(task):
            case Inspected(doc=str(doc)):
                said[name] = doc
            case _:
                pass
    return said
