"""
`oaflow check --db`: compares a checked pipeline with the workers, limits and runs of the configured database.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import Connection

from oaflow.compiler.deployment import (
    Live,
    LiveLimit,
    LiveRun,
    LiveService,
    LiveWorker,
    asked_of,
    check_live,
    services_of,
)
from oaflow.diagnostics import Diagnostic
from oaflow.errors import EnvironmentProblem
from oaflow.ledger.external import services, unseen
from oaflow.ledger.limits import limits
from oaflow.ledger.runs import OPEN_STATES, recent_runs
from oaflow.ledger.workers import able, ask
from oaflow.operations.databases import database
from oaflow.operations.programs import Program, with_absolute_defaults, without_required
from oaflow.operations.states import plan_of
from oaflow.plan import Plan, check_params
from oaflow.settings import Settings

# How long to wait for the answers of workers: their imports may take a while.
PATIENCE = 15.0

_LOOK = 0.1


def check_deployed(
    settings: Settings, programs: Sequence[Program], params: Mapping[str, Any]
) -> tuple[str, int, list[list[Diagnostic]]]:
    """
    The findings about each pipeline where it would run; none for pipelines without a plan.

    Args:
        params: values of params, as typed; others have their defaults.

    Returns:
        the name of the database, the number of its live workers, and the findings by pipeline.

    Raises:
        EnvironmentProblem: the database cannot be asked.
        UsageError: a pipeline has no such param, or it does not accept the value.
    """
    plans = [program.plan for program in programs if program.plan is not None]
    values = {id(program): _values(program, params) for program in programs}
    with database(settings) as opened, opened.connect() as connection:
        workers = _answers(connection, {stage.task for plan in plans for stage in asked_of(plan).values()}, settings)
        bounds = [
            LiveLimit(
                one.queue,
                one.task,
                one.concurrency,
                one.rate,
                said_concurrency=one.said_concurrency is not None,
                said_rate=one.said_rate is not None,
            )
            for one in limits(connection)
        ]
        found = [
            list(
                check_live(
                    program.plan,
                    Live(
                        workers,
                        bounds,
                        _services(connection, program.plan),
                        _in_flight(connection, program.plan),
                        brings=opened.embedded,
                    ),
                    values[id(program)],
                    program.spans(),
                )
            )
            if program.plan is not None
            else []
            for program in programs
        ]
        return str(opened.address), len(workers), found


def _values(program: Program, params: Mapping[str, Any]) -> dict[str, Any]:
    """
    The values of params as in a run; a required one that is not given has none.
    """
    if program.plan is None:
        return {}
    plan = with_absolute_defaults(without_required(program.plan), program.source)
    return check_params(plan, params, env=os.environ)


def _services(connection: Connection[Any], plan: Plan) -> list[LiveService]:
    asked = {(stage.queue, stage.task) for stage in services_of(plan).values()}
    if not asked:
        return []
    lost = unseen(connection, {task for _, task in asked})
    return [
        LiveService(one.queue, one.task, one.seen, one.others, heard=one.task not in lost)
        for one in services(connection, asked)
    ]


def _answers(connection: Connection[Any], tasks: Iterable[str], settings: Settings) -> list[LiveWorker]:
    """
    The answers of live workers about the tasks, as soon as all have answered, or after `PATIENCE`.
    """
    wanted = set(tasks)
    deadline = time.monotonic() + PATIENCE
    ask(connection, wanted)
    while True:
        found = able(connection, settings.dead_after)
        silent = any(wanted - one.takes.keys() - one.lacks.keys() for one in found)
        if not silent or time.monotonic() > deadline:
            return [LiveWorker(one.id, one.host, one.formats, one.takes, one.lacks) for one in found]
        time.sleep(_LOOK)


def _in_flight(connection: Connection[Any], plan: Plan) -> list[LiveRun]:
    found: list[LiveRun] = []
    for run in recent_runs(connection, pipeline=plan.pipeline, states=OPEN_STATES):
        try:
            found.append(LiveRun(run.id, plan_of(connection, run), run.params))
        except EnvironmentProblem:  # this program cannot judge a plan of a later format
            continue
    return found
