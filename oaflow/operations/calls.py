"""
What programs call: the operations of the commands, with the settings of the environment where none are given.

Here is no work of its own. A call that answers at once blocks meanwhile; what comes bit by bit is a `Stream`.
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
    Starts a run, as `oaflow run --detach` does, and leaves it to workers.

    Args:
        pipeline: a `Pipeline`, or what stands behind `oaflow run`: a file, a name, or `module:name`. Its functions must
            be such as workers can import.
        dataset: what the run works on.
        inputs: values of the pipeline's positional param; folders, mostly.
        params: by name.
        entities: a file of FollowTheMoney entities, one a line, to begin with.
        at: the stage to begin at.
        first: only so many of what the first stage sends on, or of `entities`.
        stop_after: cancel the run after so many failures, `StopAfter(10)`, or percent of documents,
            `StopAfter(percent=5)`.
        unfinished: what to do where a run of this pipeline and dataset has not ended: raise, go on with it, or cancel
            it and start another.
        force: do again what has not changed since an earlier run, too.
        prune: take out of the dataset what is gone from the folders.

    Returns:
        The run that has begun: `run` is its id, `jobs` how many it begins with, `remarks` what `oaflow run` would say.

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
    What becomes of a run, from now to its end. Some four times a second comes a `Progress`, and in between what else
    there is to say; the last event is a `Finished`. Who follows changes nothing, and leaves when he likes. A database
    that goes away is waited for: `Unreachable`, and later `Reachable`.

    Args:
        run: its id; the latest where there is none.

    Raises:
        NoSuchRunError: there is none; when the loop begins, as all that follow raises.
        EnvironmentProblem: there is no database to use.
    """
    known = or_environment(settings)
    return Stream(lambda stop: running.follow_only(known, run, stop))


def runs(
    *, dataset: str | None = None, pipeline: str | None = None, limit: int = 20, settings: Settings | None = None
) -> list[Run]:
    """
    The latest runs, the newest first.
    """
    with connection(or_environment(settings)) as made:
        return recent_runs(made, dataset=dataset, pipeline=pipeline, limit=limit)


def status(run: str | None = None, *, settings: Settings | None = None) -> Details:
    """
    How a run stands, what it is busy with, what keeps it waiting and how long it will still take.

    Raises:
        NoSuchRunError: there is none.
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
    The history of a run, a line for each attempt of each job: first what was done to the run as a whole, then job by
    job, of each the oldest line first. It is read by pages, so that a history of any size takes the same memory.

    Args:
        stage, job, document, outcome: only lines of it; what `outcome` can be, `Hop` says.
        after: the `id` of a line: only those that come after it.

    Raises:
        UsageError: there is no such run or stage, or no line can have this id; when the loop begins.
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
    The jobs of a run that failed for good and were not sent again, the oldest first.

    Args:
        stage: only what failed there.
        cause: only what has this fingerprint.

    Raises:
        UsageError: there is no such run, stage or cause; when the loop begins.
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
    What `failures` has, counted by stage and cause, the most frequent first.

    Raises:
        UsageError: there is no such run or stage.
    """
    with connection(or_environment(settings)) as made:
        return ledger.clusters(made, run_with(made, run, stage).id, stage=stage)


def receipt(run: str | None = None, *, settings: Settings | None = None) -> Receipt:
    """
    What became of the documents of a run: each is counted once. It balances where all are accounted for.

    Raises:
        NoSuchRunError: there is none.
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
    What became of a document: each stage that it went through.

    Args:
        what: its id, the hash of its bytes, its name or the end of it, or a path; or the id of an entity.
        every: where it stands for several documents, the passports of all; else of none.

    Raises:
        UsageError: there is no such run, or nothing is known of it.
    """
    return tracing.trace(or_environment(settings), what, dataset=dataset, run=run, every=every)


def retry(
    run: str | None = None, *, stage: str | None = None, cause: str | None = None, settings: Settings | None = None
) -> Begun:
    """
    Sends what failed in a run again, in a new round of the same run, and leaves it to workers.

    Args:
        stage: only what failed there.
        cause: only what has this fingerprint.

    Raises:
        UsageError: there is no such run, stage or cause, or nothing that can be sent again.
    """
    known = or_environment(settings)
    return _begun(running.retry(known, run, stage=stage, cause=cause, crew=_nobody(known)))


def resume(run: str | None = None, *, settings: Settings | None = None) -> Begun:
    """
    Lets a run go on that was paused or interrupted, and leaves it to workers.

    Args:
        run: its id; the latest that has not ended where there is none.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    known = or_environment(settings)
    return _begun(running.resume(known, run, crew=_nobody(known)))


def pause(run: str | None = None, *, settings: Settings | None = None) -> Run:
    """
    Holds a run: what is in hand is handed over, and nothing more of it is begun until it is resumed.

    Raises:
        UsageError: there is no such run, or it does not work.
    """
    return running.pause(or_environment(settings), run)


def cancel(run: str | None = None, *, settings: Settings | None = None) -> tuple[Run, int]:
    """
    Cancels a run: what waits is taken out, and what is in hand is not handed over.

    Returns:
        The run, and how many of its jobs were waiting.

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
    Does a part of a run again, as a run of its own that replaces what it wrote, and leaves it to workers.

    Args:
        stage: only what this stage has done, and what follows it.
        failed: only jobs that failed, and the documents that they are about.
        where: only jobs with an entity for which this expression holds.
        older_than: a stage and a version of its code: only what went through another one there.
        agreed: asked with how much it is; nothing is begun where it says no.

    Returns:
        The run that has begun; None where it was not agreed to.

    Raises:
        UsageError: there is no such run, stage or expression, the run goes on, or there is nothing to do.
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
    Has workers run a pipeline over a dataset by the clock, as its file is now: one run for each time, also with many
    workers, and one for all times at which there was none.

    Args:
        pipeline, dataset, inputs, params: as of `start`.
        cron: minute, hour, day, month and weekday: `0 3 * * *`.
        zone: what the times are of, as `Europe/Berlin`.
        name: of the schedule; PIPELINE-DATASET where there is none.

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
    What is limited of tasks, over all workers and runs; sets or clears it where something is said.

    Args:
        name: QUEUE/TASK; all where there is none.
        concurrency: so many of its jobs run at once.
        rate: so many begin in a time, as `50/s`.
        clear: what the plans of the runs say holds again.

    Raises:
        UsageError: the name or the rate cannot be read, or what is to be set has no name.
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
    Workers of the program's own, for the time of a block: where none are elsewhere.

    Args:
        count: worker processes.
        executors: processes of each that run sync stages; None: what the settings say, else the cores, shared.
        folders: where modules of stages are looked for, beside what is installed; None: in the current folder.

    Raises:
        EnvironmentProblem: there is no database to use, or they do not start; when the block begins. What ends them
            later is raised when it ends.
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
