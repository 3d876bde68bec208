"""
The calls for programs: the operations of the commands, with the settings of the environment as a default.

They only pass arguments on. A call that returns a value blocks until it has it; what comes bit by bit is a `Stream`.
"""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from oaflow.compiler.functions import import_folders
from oaflow.dsl import Pipeline
from oaflow.errors import UsageError
from oaflow.ledger import failures as ledger
from oaflow.ledger import history
from oaflow.ledger.failures import Cluster, Failure
from oaflow.ledger.history import Hop
from oaflow.ledger.receipts import Receipt
from oaflow.ledger.runs import Run, StopAfter, recent_runs
from oaflow.ledger.schedules import Schedule
from oaflow.operations import limiting, reading, rerunning, running, scheduling, tracing
from oaflow.operations.crew import Crew
from oaflow.operations.databases import connection, cut, database
from oaflow.operations.following import CommandEvent, Event
from oaflow.operations.limiting import Limited
from oaflow.operations.programs import program_of
from oaflow.operations.rerunning import Choice, Rerun
from oaflow.operations.running import Said
from oaflow.operations.staffing import Workers
from oaflow.operations.starting import Begun, Request
from oaflow.operations.states import Details, check_cause, run_with
from oaflow.operations.streams import Stop, Stream
from oaflow.operations.tracing import Traced
from oaflow.operations.typed import Value, typed
from oaflow.settings import Settings, or_environment


def start(
    pipeline: Pipeline | str | os.PathLike[str],
    dataset: str,
    *inputs: str | os.PathLike[str],
    params: Mapping[str, Value] | None = None,
    entities: str | os.PathLike[str] | None = None,
    at: str | None = None,
    first: int | None = None,
    stop_after: StopAfter | None = None,
    unfinished: Literal["refuse", "resume", "new"] = "refuse",
    force: bool = False,
    prune: bool = False,
    settings: Settings | None = None,
) -> Begun:
    """
    Starts a run, and does not wait for its end. The work is left to workers: see `workers`, or `oaflow worker`.

    Args:
        pipeline: a `Pipeline`, or what `oaflow run` takes: a file, a name, or `module:name`. Workers must be able to
            import its functions.
        dataset: name of the dataset that the run works on.
        inputs: values of the pipeline's positional param, usually folders.
        params: values of the other params, by name.
        entities: a file of FollowTheMoney entities to begin with, one JSON object per line.
        at: the stage to begin at; None: the entries of the pipeline.
        first: take only this many of the jobs that the first stage returns, or of `entities`; None: all.
        stop_after: cancel the run after this many failures, `StopAfter(10)`, or when this percentage of the documents
            has failed, `StopAfter(percent=5)`; None: never.
        unfinished: what to do if an earlier run of this pipeline and dataset has not ended: raise, continue that run,
            or cancel it and start a new one.
        force: also process files that have not changed since an earlier run.
        prune: remove from the dataset what is no longer in the folders.

    Returns:
        The run that has begun: `run` is its id, `jobs` the number of its first jobs, `remarks` what `oaflow run` would
            print on stderr.

    Raises:
        UsageError: the pipeline or an argument is wrong, and nothing was started. A `PipelineMistakesError` has the
            `diagnostics`, an `UnfinishedRunError` the `run`.
        EnvironmentProblem: there is no database to use.
    """
    known, program = or_environment(settings), program_of(pipeline)
    request = Request(
        dataset=dataset,
        inputs=_paths(inputs),
        params=typed(params),
        entities=None if entities is None else os.fspath(entities),
        at=at,
        first=first,
        stop_after=stop_after,
        force=force,
        prune=prune,
        folders=import_folders(program.source.file),
    )
    mode: running.Mode = "ask" if unfinished == "refuse" else unfinished
    return _begun(running.run(known, program, request, mode=mode, crew=_nobody(known)))


def follow(run: str | None = None, *, settings: Settings | None = None) -> Stream[Event]:
    """
    The events of a run, from now to its end. A `Progress` comes about four times a second, other events when something
    happens, and a `Finished` at the end. Following a run does not change it, and can be stopped at any time. If the
    database goes away it is waited for: an `Unreachable` comes, and later a `Reachable`.

    Args:
        run: id of the run; None: the latest.

    Raises:
        NoSuchRunError: there is no such run, or no run at all. Raised when the loop begins, like all the rest.
        EnvironmentProblem: there is no database to use.
    """
    known = or_environment(settings)
    return Stream(lambda stop: running.follow_only(known, run, stop))


def runs(
    *, dataset: str | None = None, pipeline: str | None = None, limit: int = 20, settings: Settings | None = None
) -> list[Run]:
    """
    The latest runs, newest first.

    Args:
        dataset, pipeline: only runs of these.
        limit: how many at most.
    """
    with connection(or_environment(settings)) as made:
        return recent_runs(made, dataset=dataset, pipeline=pipeline, limit=limit)


def status(run: str | None = None, *, settings: Settings | None = None) -> Details:
    """
    The state of a run: its counts, what it is busy with, what it waits for, and how much longer it will take.

    Raises:
        NoSuchRunError: there is no such run, or no run at all.
    """
    return reading.status(or_environment(settings), run)


def hops(
    run: str | None = None,
    *,
    stage: str | None = None,
    job: int | None = None,
    document: str | None = None,
    outcome: str | None = None,
    after: str | None = None,
    settings: Settings | None = None,
) -> Stream[Hop]:
    """
    The history of a run, one line per attempt at a job. First come the lines about the run as a whole, then those of
    each job, oldest first. It is read in pages, so it takes the same memory whatever its size.

    Args:
        stage, job, document, outcome: only lines with this value; `Hop` lists the outcomes.
        after: the `id` of a line; only lines that come after it.

    Raises:
        UsageError: there is no such run or stage, or `after` is not the id of a line. Raised when the loop begins.
    """
    known = or_environment(settings)

    def read(stop: Stop) -> Generator[Hop]:
        with database(known) as opened, opened.connect() as made:
            stop.cuts(lambda: cut(made))
            found = run_with(made, run, stage)
            if after is not None and not history.is_place(after):
                raise UsageError(f"no line of a history has the id {after!r}", help="a line says its own: hop.id")
            next = after
            while True:
                lines = history.hops(
                    made, found.id, stage=stage, job=job, document=document, outcome=outcome, after=next
                )
                yield from lines.hops
                if (next := lines.next) is None:
                    return

    return Stream(read)


def failures(
    run: str | None = None, *, stage: str | None = None, cause: str | None = None, settings: Settings | None = None
) -> Stream[Failure]:
    """
    The jobs of a run that failed for good and have not been retried, oldest first.

    Args:
        stage: only failures of this stage.
        cause: only failures with this fingerprint.

    Raises:
        UsageError: there is no such run, stage or cause. Raised when the loop begins.
    """
    known = or_environment(settings)

    def read(stop: Stop) -> Generator[Failure]:
        with database(known) as opened, opened.connect() as made:
            stop.cuts(lambda: cut(made))
            found = run_with(made, run, stage)
            if cause is not None:
                check_cause(made, found, cause)
            yield from ledger.every_failure(made, found.id, stage=stage, cause=cause)

    return Stream(read)


def causes(run: str | None = None, *, stage: str | None = None, settings: Settings | None = None) -> list[Cluster]:
    """
    The failures of a run, counted by stage and cause, the most frequent first.

    Args:
        stage: only failures of this stage.

    Raises:
        UsageError: there is no such run or stage.
    """
    with connection(or_environment(settings)) as made:
        return ledger.clusters(made, run_with(made, run, stage).id, stage=stage)


def receipt(run: str | None = None, *, settings: Settings | None = None) -> Receipt:
    """
    What became of the documents of a run. Each document is counted once; the receipt balances if all are accounted for.

    Raises:
        NoSuchRunError: there is no such run, or no run at all.
    """
    _, account, _ = reading.receipt_of(or_environment(settings), run)
    return account


def trace(
    what: str,
    *,
    dataset: str | None = None,
    run: str | None = None,
    every: bool = False,
    settings: Settings | None = None,
) -> Traced:
    """
    What became of a document: every stage that it went through.

    Args:
        what: the document's id, the SHA-1 of its bytes, its name or the end of its name, or a path; or the id of an
            entity.
        every: if `what` matches several documents, return the passports of all of them; otherwise of none.

    Raises:
        UsageError: there is no such run, or nothing is known of the document.
    """
    return tracing.trace(or_environment(settings), what, dataset=dataset, run=run, every=every)


def retry(
    run: str | None = None, *, stage: str | None = None, cause: str | None = None, settings: Settings | None = None
) -> Begun:
    """
    Retries failed jobs of a run, in a new round of the same run. The work is left to workers.

    Args:
        stage: only failures of this stage.
        cause: only failures with this fingerprint.

    Raises:
        UsageError: there is no such run, stage or cause, or nothing can be retried.
    """
    known = or_environment(settings)
    return _begun(running.retry(known, run, stage=stage, cause=cause, crew=_nobody(known)))


def resume(run: str | None = None, *, settings: Settings | None = None) -> Begun:
    """
    Continues a run that was paused or interrupted. The work is left to workers.

    Args:
        run: id of the run; None: the latest that has not ended.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    known = or_environment(settings)
    return _begun(running.resume(known, run, crew=_nobody(known)))


def pause(run: str | None = None, *, settings: Settings | None = None) -> Run:
    """
    Pauses a run. Jobs that are running finish and hand over; no others begin until the run is resumed.

    Raises:
        UsageError: there is no such run, or it is not running.
    """
    return running.pause(or_environment(settings), run)


def cancel(run: str | None = None, *, settings: Settings | None = None) -> tuple[Run, int]:
    """
    Cancels a run. Waiting jobs are removed, and running jobs hand nothing over.

    Returns:
        The run, and how many waiting jobs were removed.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    return running.cancel(or_environment(settings), run)


def rerun(
    run: str | None = None,
    *,
    stage: str | None = None,
    failed: bool = False,
    where: str | None = None,
    older_than: tuple[str, str] | None = None,
    agreed: Callable[[Rerun], bool] = lambda found: True,
    settings: Settings | None = None,
) -> Begun | None:
    """
    Repeats a part of a run, as a new run whose results replace those of the old one. The work is left to workers.

    Args:
        stage: only jobs of this stage, and what follows from them.
        failed: only jobs that failed, with the documents that they are about.
        where: only jobs with an entity for which this expression is true.
        older_than: a stage and a version of its code; only what another version of that stage has processed.
        agreed: called with what would be repeated; if it returns False, nothing begins.

    Returns:
        The run that has begun; None if `agreed` returned False.

    Raises:
        UsageError: there is no such run or stage, the expression is wrong, the run has not ended, or there is nothing
            to repeat.
    """
    known = or_environment(settings)
    choice = Choice(stage, failed, where, older_than)
    with closing(rerunning.rerun(known, run, choice, agreed, crew=_nobody(known))) as events:
        return next((event for event in events if isinstance(event, Begun)), None)


def add_schedule(
    pipeline: Pipeline | str | os.PathLike[str],
    dataset: str,
    *inputs: str | os.PathLike[str],
    cron: str,
    zone: str = "UTC",
    name: str | None = None,
    params: Mapping[str, Value] | None = None,
    settings: Settings | None = None,
) -> Schedule:
    """
    Adds a schedule: workers run a pipeline over a dataset at set times, as its file is now. Each time begins one run,
    however many workers there are. Times that pass while no worker is running begin one run together.

    Args:
        pipeline, dataset, inputs, params: as in `start`.
        cron: minute, hour, day, month and weekday: `0 3 * * *`.
        zone: time zone of these times, such as `Europe/Berlin`.
        name: of the schedule; None: PIPELINE-DATASET.

    Raises:
        UsageError: the pipeline, a value, the times or the name is wrong.
    """
    program = program_of(pipeline)
    request = Request(dataset, _paths(inputs), typed(params), folders=import_folders(program.source.file))
    return scheduling.add(or_environment(settings), program, request, cron=cron, zone=zone, name=name)


def limit(
    name: str | None = None,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    clear: bool = False,
    settings: Settings | None = None,
) -> Limited:
    """
    The limits of tasks, which hold over all workers and runs. With `concurrency`, `rate` or `clear`, changes them
    first.

    Args:
        name: QUEUE/TASK; None: all limits.
        concurrency: how many of its jobs may run at the same time.
        rate: how many of its jobs may begin in a span of time, such as `50/s`.
        clear: remove what was set here, so that the limits in the plans of the runs hold again.

    Raises:
        UsageError: the name or the rate cannot be read, or a limit is to be set and `name` is missing.
    """
    return limiting.limit(or_environment(settings), name, concurrency=concurrency, rate=rate, clear=clear)


def workers(
    count: int = 1,
    *,
    executors: int | None = None,
    folders: Iterable[str | os.PathLike[str]] | None = None,
    settings: Settings | None = None,
) -> Workers:
    """
    Worker processes that live as long as a `with` or `async with` block: for programs that have no workers elsewhere.

    Args:
        count: how many worker processes.
        executors: how many processes each worker has for sync stages; None: as the settings say, else the cores of the
            machine are shared among the workers.
        folders: where modules of stages are looked for, besides installed packages; None: the current folder.

    Raises:
        EnvironmentProblem: there is no database to use, or the workers do not start. Raised when the block begins; what
            ends the workers later is raised when the block ends.
    """
    if count < 1:
        raise UsageError(f"{count} workers cannot be started: at least one is needed", help="workers(1)")
    known = or_environment(settings)
    looked = import_folders() if folders is None else tuple(Path(folder).absolute() for folder in folders)
    return Workers(known, count, executors=executors, folders=looked)


def _nobody(settings: Settings) -> Crew:
    """
    Whoever works on the run is elsewhere.
    """
    return Crew(settings, 0)


def _begun(events: Generator[CommandEvent | Begun | Said]) -> Begun:
    """
    What has begun, without following it.
    """
    said: list[str] = []
    with closing(events):
        for event in events:
            if isinstance(event, Begun):
                return replace(event, remarks=(*said, *event.remarks))
            if isinstance(event, Said):
                said.append(event.text)
    raise AssertionError("unreachable: it begins, or raises")


def _paths(given: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    return tuple(os.fspath(one) for one in given)
