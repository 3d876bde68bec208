"""
Starts a run: a wrong command is refused here, before anything has started.
"""

import os
import shlex
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson
from psycopg import Connection

from oaflow.errors import JobError, UsageError
from oaflow.jobs import DatasetJob, pack
from oaflow.jobs import bind as reach
from oaflow.ledger import runs as ledger
from oaflow.ledger.external import unseen
from oaflow.ledger.limits import declare
from oaflow.ledger.runs import OPEN_STATES, FirstJob, Run, StopAfter
from oaflow.operations.afresh import once_more, with_its_input
from oaflow.operations.again import first_job
from oaflow.operations.binding import reaching
from oaflow.operations.databases import Database
from oaflow.operations.programs import Source, sample_documents, with_absolute_defaults, without_required
from oaflow.operations.states import CRAWL_TASK
from oaflow.plan import NO_PLACES, BoundPlan, Places, Plan, PlannedParam, bind, check_params
from oaflow.plan.deciding import deciding
from oaflow.plan.later import following
from oaflow.plan.plans import origin_of_input
from oaflow.runtime.router import enter as route_first
from oaflow.schemata import SCHEMATA, is_a
from oaflow.spelling import closest, did_you_mean

# How many entities of `-i FILE` go into one first job.
ENTITIES_PER_JOB = 100

# How many first jobs one statement inserts.
_JOBS_PER_STATEMENT = 20

Item = TypeVar("Item")


class UnfinishedRunError(UsageError):
    """
    The dataset has a run of this pipeline that has not ended, and the call does not say what to do with it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(
            f"run {run.id!r} of this pipeline and dataset has not ended (it is {run.state})",
            help="add --new to cancel it and start a new run; its input is gone, so it cannot continue"
            if run.cut
            else "add --resume to continue it, or --new to cancel it and start a new run",
        )


class EndedRunError(UsageError):
    """
    The run has ended, so it cannot continue.
    """

    def __init__(self, run: Run) -> None:
        again = f"oaflow retry {run.id} sends what failed again"
        super().__init__(
            f"run {run.id!r} has ended: it is {run.state}",
            help=again if run.state != "cancelled" else once_more(run),
        )


class UnsealedRunError(UsageError):
    """
    The command that started the run ended before it had read its input to the end, so the run cannot continue.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(
            f"the input of run {run.id!r} was not read to the end, so it cannot continue",
            help=with_its_input(run),
        )


class EnteringRunError(UsageError):
    """
    The command that started the run is still reading its input.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(
            f"the command that started run {run.id!r} is still reading its input, and follows it",
            help=f"oaflow status {run.id}",
        )


class UnseenServiceError(UsageError):
    """
    A run has stages in other services, and nothing would record what these hand over.
    """

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.stages = stages
        names = ", ".join(map(repr, stages))
        where = f"stage {names} lives in another service" if len(stages) == 1 else f"stages {names} live in services"
        super().__init__(
            f"{where}, but this database does not see what {'it hands' if len(stages) == 1 else 'these hand'} over",
            help="oaflow db migrate --capture   # or start its workers with python -m oaflow.shim",
        )


@dataclass(frozen=True, slots=True)
class Request:
    """
    The arguments of `oaflow run`.

    Attributes:
        inputs: the arguments after the pipeline's name: values of its positional param.
        params: by name, each as often as it was given.
        entities: a file with FtM entities, one per line; `-` is stdin.
        at: the stage that the first jobs go to, instead of the entries.
        first: limits the entities of `entities` or, without it, the jobs that each first job returns.
        stop_after: after how many failures the run is cancelled; None: never.
        force: whether to process also what has not changed since an earlier run.
        prune: whether to remove from the dataset what is gone from the sources.
        folders: where modules of stages are searched, besides installed packages; stored with the run.
        environment: for params that name a variable.
    """

    dataset: str
    inputs: tuple[str, ...] = ()
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    entities: str | None = None
    at: str | None = None
    first: int | None = None
    stop_after: StopAfter | None = None
    force: bool = False
    prune: bool = False
    folders: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Begun:
    """
    A run that has started or continues.

    Attributes:
        run: its id.
        bound: its plan, with the values of its params.
        jobs: how many jobs it starts with.
        remarks: remarks about it, in sentences.
        folders: where its workers search modules, besides installed packages.
    """

    run: str
    bound: BoundPlan
    jobs: int
    remarks: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


def precheck(plan: Plan, request: Request) -> None:
    """
    Refuse what is wrong regardless of the database, so that nothing is started for it.

    Raises:
        UsageError: unknown or ill-typed params, a missing path or stage, or options that exclude each other.
    """
    given = _given(plan, request)
    values = check_params(without_required(plan), given, env=request.environment)
    _check_paths(plan, {name: values[name] for name in given if name in values})
    if request.at is not None and request.at not in plan.stages:
        raise UsageError(
            f"no stage is named {request.at!r}",
            help=did_you_mean(request.at, plan.stages) or f"its stages are: {', '.join(plan.stages)}",
        )
    if request.at is not None and plan.stages[request.at].join:
        raise UsageError(
            f"no run starts at {request.at!r}: it is a join, which starts by itself",
            help="name a stage that is not a join: --at STAGE",
        )
    if request.first is not None and request.first < 1:
        raise UsageError(f"first={request.first}: a run needs at least one job")
    if (most := request.stop_after) is not None:
        numbers = [number for number in (most.failures, most.percent) if number is not None]
        if len(numbers) != 1 or numbers[0] <= 0:
            raise UsageError(
                f"{most} is neither a number of failures nor a percentage of documents",
                help="StopAfter(10), or StopAfter(percent=5)",
            )
    if request.entities not in (None, "-"):
        given = str(request.entities)
        # A pipe is as good as a file, such as the shell's <(zcat entities.gz). A name too long for a file is not an
        # error.
        if os.path.isdir(given) or not os.path.exists(given):
            raise UsageError(f"there is no file {request.entities!r} to read entities from", help="-i -  reads stdin")


def settle(plan: Plan, source: Source, request: Request, last: Run | None) -> tuple[dict[str, Any], list[str]]:
    """
    The values of a run's params, including those of the dataset's last run, and the sample documents if they are meant.

    Returns:
        the values, and remarks about where they come from.

    Raises:
        UsageError: a param is missing, or a path does not exist.
    """
    command = f"oaflow run {shlex.quote(source.typed)} -d {request.dataset}"
    remarks: list[str] = []
    given = _given(plan, request)
    remembered = last.params if last is not None else {}
    positional = next((name for name, param in plan.params.items() if param.positional), None)
    command = f"oaflow run {shlex.quote(source.typed)} -d {request.dataset}"
    if positional is not None and positional not in given:
        before = remembered.get(positional) if plan.params[positional].remember else None
        if before:
            if not_there := _not_there(plan.params[positional], before):
                raise UsageError(
                    f"{positional}: {_shown(not_there)}, which the dataset's last run had, no longer exists",
                    help=f"put it back, or name what to read: {command} {positional.upper()}...",
                )
            remarks.append(f"{positional}: {_shown(before)}, as in the dataset's last run")
        elif last is None and _is_own_ingest(source) and request.entities is None and request.at is None:
            samples = sample_documents()
            if samples is not None:
                given[positional] = [str(samples)]
                remarks.append(f"no {positional} was given: using oaflow's own sample documents ({samples})")
    elif positional is not None and plan.params[positional].remember:
        remarks.extend(_moved(_not_there(plan.params[positional], remembered.get(positional))))
    values = check_params(
        with_absolute_defaults(plan, source),
        given,
        env=request.environment,
        remembered=remembered,
        command=command,
    )
    _check_paths(plan, values)
    if positional is not None and not values.get(positional) and request.entities is None and request.at is None:
        raise UsageError(
            f"pipeline {plan.pipeline!r} has nothing to work on: no {positional} was given",
            help=f"{command} {positional.upper()}...",
        )
    return values, remarks


def bound_for_run(
    plan: Plan, values: Mapping[str, Any], at: str | None = None, places: Places = NO_PLACES
) -> BoundPlan:
    """
    The plan by which this run routes.

    Raises:
        UsageError: the stage to start at is disabled.
    """
    bound = bind(plan, values, places=places)
    if at is not None and at not in bound.stages:
        raise UsageError(f"stage {at!r} is disabled: {bound.disabled.get(at, 'by its params')}")
    return bound


def idle_options(bound: BoundPlan, request: Request) -> Iterator[str]:
    """
    The options of a request that have no effect in this run, each with the reason: only a stage that crawls knows about
    earlier runs.
    """
    begins = bound.start if request.at is None else (request.at,)
    after = following(bound)
    crawls = [name for name, stage in bound.stages.items() if stage.task == CRAWL_TASK]
    if not crawls:
        why = f"no stage of pipeline {bound.pipeline!r} crawls"
    elif request.entities is not None:
        why = "with -i no folder is crawled"
    elif not any(name in crawls or not after[name].isdisjoint(crawls) for name in begins):
        why = f"a run at {request.at!r} crawls nothing"
    elif request.first is not None and request.prune:
        yield "--prune removes nothing: with --first, not all folders are read"
        return
    else:
        return
    if request.prune:
        yield f"--prune removes nothing: {why}"
    if request.force:
        yield f"--force changes nothing: {why}, so everything is processed anyway"


def refuse_unseen(connection: Connection[Any], bound: BoundPlan) -> None:
    """
    Refuse a run with external stages if what services hand over would be lost.

    Raises:
        UnseenServiceError: nothing records it.
    """
    tasks = {bound.stages[name].task for name in bound.external}
    if tasks and (lost := unseen(connection, tasks)):
        raise UnseenServiceError(tuple(name for name in bound.external if bound.stages[name].task in lost))


def unfinished(connection: Connection[Any], pipeline: str, dataset: str) -> Run | None:
    """
    The unfinished run of a pipeline on a dataset.
    """
    return ledger.latest_run(connection, dataset=dataset, pipeline=pipeline, states=OPEN_STATES)


def last_run(connection: Connection[Any], pipeline: str, dataset: str) -> Run | None:
    """
    The dataset's last run of a pipeline, ended or not.
    """
    return ledger.latest_run(connection, dataset=dataset, pipeline=pipeline)


def begin(
    opened: Database,
    connection: Connection[Any],
    plan: Plan,
    bound: BoundPlan,
    request: Request,
    values: Mapping[str, Any],
) -> Begun:
    """
    Store the plan, create the run and insert its first jobs.

    Args:
        connection: to the open database; the caller may be in a transaction.

    Raises:
        UsageError: the entities cannot be read; the run is cancelled then.
        UnfinishedRunError: somebody else has just started one of this pipeline and dataset.
    """
    ledger.store_plan(connection, plan.digest, plan.format, plan.pipeline, plan.canonical())
    stages = (request.at,) if request.at is not None else bound.start
    # All or nothing if there are few first jobs; a stream of entities is too long for one transaction.
    with connection.transaction() if request.entities is None else nullcontext():
        run = open_run(connection, plan, bound, request, values, opened.settings.job_bytes)
        if request.stop_after is not None:
            ledger.stop_after(connection, run, request.stop_after, stages)
        number = _enter(connection, run, _first_jobs(opened, bound, stages, request, run))
    if number == 0:
        ledger.close(connection, run)
    return Begun(run, bound, number, folders=request.folders)


def open_run(
    connection: Connection[Any],
    plan: Plan,
    bound: BoundPlan,
    request: Request,
    values: Mapping[str, Any],
    job_bytes: int,
    rerun_of: str | None = None,
) -> str:
    """
    Create a run without jobs, with what its joins, limits and collecting stages need, in one transaction.

    Raises:
        UnfinishedRunError: somebody else has just started one of this pipeline and dataset.
    """
    with connection.transaction():
        ledger.take_turn(connection, plan.pipeline, request.dataset)
        if (other := unfinished(connection, plan.pipeline, request.dataset)) is not None:
            raise UnfinishedRunError(other)
        return _opened(connection, plan, bound, request, values, job_bytes, rerun_of)


def _opened(
    connection: Connection[Any],
    plan: Plan,
    bound: BoundPlan,
    request: Request,
    values: Mapping[str, Any],
    job_bytes: int,
    rerun_of: str | None,
) -> str:
    run = ledger.start_run(
        connection,
        plan.pipeline,
        plan.digest,
        request.dataset,
        values,
        folders=_storable(request.folders),
        first=request.first if request.entities is None else None,
        stages=deciding(bound),
        places={name: stage.places for name, stage in bound.stages.items() if stage.places},
        force=request.force,
        prune=request.prune,
        rerun_of=rerun_of,
    )
    ledger.expect(
        connection,
        run,
        [
            (job, waits)
            for join, waits in bound.joins.items()
            for job in _first(bound, join, request.dataset, run, [], job_bytes)
        ],
    )
    for stage, feeders in bound.collects.items():
        ledger.collect(connection, run, bound.stages[stage], feeders)
    declare(connection, run, bound.limits)
    return run


def _enter(connection: Connection[Any], run: str, jobs: Iterable[FirstJob]) -> int:
    number = 0
    try:
        for group in _in_groups(jobs, _JOBS_PER_STATEMENT):
            number += ledger.enter(connection, run, group, seal=False)
    except BaseException as error:
        with suppress(Exception):  # the first error matters more; an unsealed run says so when resumed
            ledger.cancel(connection, run, f"its first jobs could not be sent: {error}")
        raise
    # Sealed last and separately, so that a run whose input breaks off half-way never looks finished.
    ledger.enter(connection, run, (), seal=True)
    return number


def _first_jobs(
    opened: Database, bound: BoundPlan, stages: Iterable[str], request: Request, run: str
) -> Iterator[FirstJob]:
    entries, job_bytes = tuple(stages), opened.settings.job_bytes
    if request.entities is None:
        for stage in entries:
            yield from _first(bound, stage, request.dataset, run, [], job_bytes)
        return
    entities = islice(read_entities(request.entities), request.first)
    with reaching(opened, origin_of_input(bound.pipeline)) as reached:
        for group in _in_groups(entities, ENTITIES_PER_JOB):
            # In the store before the job exists, so that the first stage can load them like any other.
            with reached.writer(request.dataset) as writer:
                for entity in group:
                    writer.add(entity)
            for stage in entries:
                with reach(reached):
                    jobs = _first(bound, stage, request.dataset, run, group, job_bytes)
                yield from jobs


def _first(
    bound: BoundPlan, stage: str, dataset: str, run: str, entities: list[dict[str, Any]], job_bytes: int
) -> list[FirstJob]:
    target = bound.stages[stage]
    job_bytes = 0 if target.external else job_bytes  # like everything that goes to a service
    payload = {"entities": entities} if entities else {}
    job = DatasetJob(dataset=dataset, queue=target.queue, task=target.task, batch=run, payload=payload)
    routes = route_first(bound, stage, pack(job, job_bytes), run=run)
    return [first_job(route) for route in routes]


def read_entities(name: str) -> Iterator[dict[str, Any]]:
    """
    FtM entities from a file of JSON lines; `-` is stdin.

    Raises:
        UsageError: a line is not an entity; the message has its number.
    """
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as lines:
        yield from _entities(lines, "stdin" if name == "-" else name)


def _entities(lines: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        # Some programs start a file with it.
        line = line.removeprefix(BOM_UTF8) if number == 1 else line
        if not line.strip():
            continue
        try:
            entity = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UsageError(f"line {number} of {name} is not JSON: {error}", help="one FtM entity a line") from None
        if not isinstance(entity, dict) or not all(isinstance(entity.get(key), str) for key in ("id", "schema")):
            raise UsageError(
                f"line {number} of {name} is not an FtM entity: it needs id and schema", help="one FtM entity a line"
            )
        if not is_a(entity["schema"], entity["schema"]):
            raise UsageError(
                f"line {number} of {name} is not an FtM entity: no schema is named {entity['schema']!r}",
                help=did_you_mean(entity["schema"], SCHEMATA) or "one FtM entity a line",
            )
        try:
            DatasetJob(dataset="check", queue="check", task="check", payload={"entities": [entity]})
        except JobError as error:
            raise UsageError(f"line {number} of {name} cannot be sent: {error}") from None
        yield entity


def _storable(folders: Iterable[Path]) -> list[str]:
    """
    Folders that the database can hold: not those whose names are not UTF-8.
    """
    return [os.fsdecode(name) for name in map(os.fsencode, folders) if name.decode(errors="ignore").encode() == name]


def _in_groups(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group


def _given(plan: Plan, request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {name: list(values) for name, values in request.params.items()}
    if request.inputs:
        positional = next((name for name, param in plan.params.items() if param.positional), None)
        if positional is None:
            raise UsageError(
                f"pipeline {plan.pipeline!r} takes no inputs, but {request.inputs[0]!r} was given",
                help="set its params by name: -p NAME=VALUE",
            )
        given[positional] = [*given.get(positional, []), *request.inputs]
    return given


def _check_paths(plan: Plan, values: Mapping[str, Any]) -> None:
    """
    What is read must exist: the paths of the positional param. For another path, at least the folder, because it may be
    written to.
    """
    for name, value in values.items():
        param = plan.params[name]
        if "path" not in (param.type, param.of) or value is None:
            continue
        for text in value if isinstance(value, list) else [value]:
            path = Path(text)
            wanted = path if param.positional else path.parent
            if not os.path.lexists(wanted):
                kind = "file or folder" if param.positional else "folder"
                raise UsageError(f"{name}: there is no {kind} {str(wanted)!r}", help=_instead_of(wanted))
            if param.positional and not os.access(wanted, os.R_OK):
                raise UsageError(
                    f"{name}: {text!r} cannot be read: permission denied", help=f"ls -ld {shlex.quote(text)}"
                )


def _instead_of(path: Path) -> str:
    """
    What to type instead of a missing path: a similar name in the same folder, or where to look.
    """
    there = next((folder for folder in path.parents if os.path.isdir(folder)), Path("/"))
    wanted = path.relative_to(there).parts[0]
    with suppress(OSError), os.scandir(there) as entries:
        # No user waits for more.
        if (close := closest(wanted, [entry.name for entry in islice(entries, 1000)])) is not None:
            return f"did you mean {str(there / close)!r}?"
    return f"ls {shlex.quote(str(there))}"


def _not_there(param: PlannedParam, value: Any) -> list[str]:
    """
    The paths of an earlier run that are gone.
    """
    if "path" not in (param.type, param.of) or value is None:
        return []
    return [text for text in (value if isinstance(value, list) else [value]) if not os.path.lexists(text)]


def _moved(gone: Sequence[str]) -> Iterator[str]:
    """
    The warning if a dataset gets another folder and the folder of its last run no longer exists: files are identified
    by their paths, so everything that was moved would be found twice.
    """
    if gone:
        verb, its = ("is", "its") if len(gone) == 1 else ("are", "their")
        yield (
            f"{_shown(gone)}, which the dataset's last run had, {verb} not there any more; {its} documents stay in the"
            " dataset, so files that were moved are found twice"
        )
        yield f"help:  to remove {its} documents, make an empty folder there and run with --prune"


def _is_own_ingest(source: Source) -> bool:
    return source.packaged and source.typed == "ingest"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
