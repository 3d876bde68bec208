"""
What commands print about runs: how they stand, what they wait for, and how they could go.
"""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from oaflow.printed.shapes import Says, closed

State = Literal["running", "paused", "interrupted", "finished", "incomplete", "cancelled"]
Why = Literal[
    "paused",
    "disk",
    "interrupted",
    "abandoned",
    "unserved",
    "limit",
    "rests",
    "retry",
    "collect",
    "lock",
    "priority",
    "turn",
    "join",
]


@closed
class Counts(TypedDict):
    """
    How many jobs of a stage are in which state.
    """

    open: Annotated[int, Says("jobs that have not ended")]
    done: Annotated[int, Says("jobs that are done")]
    failed: Annotated[int, Says("jobs that failed for good")]
    unmatched: Annotated[int, Says("entities that no edge took; a job without entities counts as one")]
    dropped: Annotated[int, Says("jobs that the pipeline dropped, and those of a cancelled run")]
    ended: Annotated[int, Says("jobs returned by a stage that no other stage follows")]
    diverted: Annotated[int, Says("jobs that failed for good and followed an `on_error` edge")]
    vanished: Annotated[int, Says("jobs whose rows were deleted by another program")]


class RunHead(TypedDict):
    """
    A run and its state.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the name of its pipeline")]
    plan: Annotated[str, Says("the digest of its plan")]
    dataset: Annotated[str, Says("the dataset that it processes")]
    rerun_of: Annotated[str | None, Says("the run that it repeats in part")]
    state: Annotated[State, Says("its state; `running`, `paused` and `interrupted` runs have not ended")]
    seconds: Annotated[float, Says("its age in seconds, or how long it took")]
    unchanged: Annotated[int, Says("files that were left out because an earlier run processed them")]
    gone: Annotated[int, Says("files of the dataset that its crawl no longer found")]


@closed
class Status(RunHead):
    """
    How a run stands.
    """

    stages: Annotated[dict[str, Counts], Says("by stage, in the order of the plan")]


class WaitFacts(TypedDict, total=False):
    """
    The numbers in the text of a `Wait`; `why` determines which are present.
    """

    jobs: Annotated[
        int, Says("`limit`, `retry`, `collect`, `lock`: how many jobs wait; for a limit, counted up to 1,000")
    ]
    seconds: Annotated[
        float | None,
        Says("`retry`, `collect`: the longest wait ahead; `unserved`, `priority`, `turn`: the wait so far, or null"),
    ]
    entities: Annotated[int, Says("`collect`: how many entities these jobs carry")]
    locks: Annotated[int, Says("`lock`: for how many locks they wait")]
    queue: Annotated[str, Says("`unserved`: the queue that no worker serves")]
    task: Annotated[str, Says("`unserved`: the task that no worker can run")]
    concurrency: Annotated[int | None, Says("`limit`: how many jobs may run at once")]
    rate: Annotated[float | None, Says("`limit`: how many jobs may start per second")]
    open: Annotated[
        int, Says("`rests`: how many jobs are open in the stages after it; `join`: in the stages before it")
    ]
    most: Annotated[int, Says("`rests`: the largest number of open jobs allowed")]
    after: Annotated[
        dict[str, int], Says("`rests`: the open jobs of each stage after it; `join`: of each stage before it")
    ]


@closed
class Wait(WaitFacts):
    """
    Something that a run waits for. The numbers in its text are also keys; `why` determines which are present.
    """

    why: Annotated[Why, Says("the kind of the reason")]
    stage: Annotated[str | None, Says("the stage that waits; null if it is the whole run, or several stages")]
    text: Annotated[str, Says("what it waits for, in words")]
    reason: Annotated[str | None, Says("the cause, as reported by a worker or another program")]
    help: Annotated[str | None, Says("what to type")]


@closed
class Estimate(TypedDict):
    """
    How long a run will still take. All three numbers are null if there is no estimate.
    """

    seconds: Annotated[float | None, Says("the median")]
    low: Annotated[float | None, Says("the lower end of a range that is right four times out of five")]
    high: Annotated[float | None, Says("the upper end of that range")]
    why: Annotated[str | None, Says("why there is no estimate")]
    assumes: Annotated[str | None, Says("the assumptions it makes")]


@closed
class Unmatched(TypedDict):
    """
    What a stage returned on a port but no edge took, for one reason.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port on which it was returned")]
    reason: Annotated[str, Says("why no edge took it")]
    count: Annotated[int, Says("how many entities; a job without entities counts as one")]


@closed
class OldCode(TypedDict):
    """
    A worker that still runs code that has changed since it loaded it.
    """

    worker: Annotated[int, Says("the id of the worker")]
    host: Annotated[str, Says("the host that it runs on")]
    pid: Annotated[int, Says("its process id")]
    text: Annotated[str, Says("which code is old and which file has changed, in words")]
    help: Annotated[str | None, Says("what to type on that host to load the new code")]


@closed
class Details(Status):
    """
    How a run stands, and what it waits for.
    """

    waits: Annotated[list[Wait], Says("what it waits for")]
    unmatched: Annotated[list[Unmatched], Says("what no edge took, most frequent first")]
    estimate: Annotated[Estimate | None, Says("how long it will still take; null if it is not progressing")]
    old_code: Annotated[list[OldCode], Says("the workers that still run old code of its stages, while the run is open")]


@closed
class WatchedCounts(Counts):
    """
    How many jobs of a stage are in which state, and how fast it works.
    """

    rate: Annotated[float, Says("jobs per second over the last ten seconds")]
    running: Annotated[int, Says("jobs that workers hold")]
    waits_for: Annotated[float | None, Says("how many seconds the next job has waited; null if none waits")]


@closed
class WatchedRun(RunHead):
    """
    A run that is being watched.
    """

    stages: Annotated[dict[str, WatchedCounts], Says("by stage, in the order of the plan")]
    waits: Annotated[list[Wait], Says("what it waits for")]
    estimate: Annotated[Estimate | None, Says("how long it will still take; null if it is not progressing")]


@closed
class Hand(TypedDict):
    """
    The jobs of a stage that a worker holds.
    """

    run: Annotated[str, Says("the run of the jobs")]
    stage: Annotated[str, Says("the stage of the jobs")]
    jobs: Annotated[int, Says("how many jobs")]


@closed
class Worker(TypedDict):
    """
    A live worker.
    """

    worker: Annotated[int, Says("the id of the worker")]
    host: Annotated[str, Says("the host that it runs on")]
    pid: Annotated[int, Says("its process id")]
    program: Annotated[str, Says("the version of oaflow that it runs")]
    executors: Annotated[int | None, Says("how many processes run its sync stages")]
    memory: Annotated[int | None, Says("the memory of it and its executors, in bytes")]
    tasks: Annotated[list[str], Says("the tasks that it can run")]
    only: Annotated[str | None, Says("the only run that it works on; null: all runs")]
    stale: Annotated[
        dict[str, str],
        Says("the tasks whose code has changed since the worker loaded it, each with a file that has changed"),
    ]
    restart: Annotated[str | None, Says("what to type on that host to load the new code")]
    hands: Annotated[list[Hand], Says("the jobs that it holds")]


@closed
class View(TypedDict):
    """
    All runs and workers at one moment.
    """

    runs: Annotated[list[WatchedRun], Says("the unfinished runs, and the last one that ended")]
    workers: Annotated[list[Worker], Says("the live workers")]


@closed
class RecentRun(TypedDict):
    """
    One of the latest runs.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the name of its pipeline")]
    dataset: Annotated[str, Says("the dataset that it processes")]
    state: Annotated[State, Says("its state")]


@closed
class Detached(TypedDict):
    """
    A run that was started and left to a background process.
    """

    run: Annotated[str, Says("the id of the run")]
    process: Annotated[int | None, Says("the background process that follows it; null if its workers are elsewhere")]
    log: Annotated[str | None, Says("the log file of that process; null if its workers are elsewhere")]


@closed
class Paused(TypedDict):
    """
    A run that was paused.
    """

    run: Annotated[str, Says("the id of the run")]
    state: Annotated[State, Says("its state now")]


@closed
class Cancelled(Paused):
    """
    A run that was cancelled.
    """

    waiting: Annotated[int, Says("how many waiting jobs were removed")]


@closed
class Rerun(TypedDict):
    """
    What `rerun` would repeat, counted in the jobs of that run.
    """

    run: Annotated[str, Says("the run that it would repeat in part")]
    dataset: Annotated[str, Says("the dataset of that run")]
    asked: Annotated[str, Says("the options that select the jobs, as you type them; empty for the whole run")]
    chosen: Annotated[int, Says("how many jobs were selected")]
    documents: Annotated[int, Says("how many documents these jobs are about")]
    first: Annotated[dict[str, int], Says("by stage, the jobs that would start")]
    after: Annotated[dict[str, int], Says("by stage, the jobs that followed from them in that run")]
    versions: Annotated[dict[str, int], Says("the versions of code that ran them, with how many jobs each ran")]
    newer: Annotated[
        int, Says("documents that stay as they are because a later run processed them or their file is gone")
    ]
    lost: Annotated[int, Says("documents that cannot start again because nothing of their jobs was kept")]


@closed
class Variant(TypedDict):
    """
    How long a run would take with other workers or limits. Null means as it was.
    """

    workers: Annotated[int | None, Says("the number of workers for all stages")]
    executors: Annotated[int | None, Says("the number of executors per worker")]
    own: Annotated[dict[str, int], Says("by stage, the number of workers for this stage alone")]
    concurrency: Annotated[dict[str, int], Says("by stage, how many jobs run at once")]
    seconds: Annotated[float, Says("how many seconds it would take: the median")]
    low: Annotated[float, Says("the lower end of a range that is right four times out of five")]
    high: Annotated[float, Says("the upper end of that range")]
    busiest: Annotated[str, Says("what was busy longest: a stage, or the executors")]
    share: Annotated[float, Says("the share of the time for which that was busy")]


@closed
class Simulated(TypedDict):
    """
    How long a run would take with other workers or limits.
    """

    run: Annotated[str, Says("the id of the run")]
    took: Annotated[float, Says("how many seconds workers actually spent on it")]
    rest: Annotated[bool, Says("whether the run has not ended and the numbers are for the rest of it")]
    assumes: Annotated[str, Says("the assumptions it makes")]
    variants: Annotated[list[Variant], Says("the variants; the first is the run as it was")]


@closed
class Schedule(TypedDict):
    """
    A schedule by which runs start.
    """

    name: Annotated[str, Says("the name of the schedule")]
    pipeline: Annotated[str, Says("the name of the pipeline")]
    plan: Annotated[str, Says("the digest of the plan that it runs")]
    dataset: Annotated[str, Says("the dataset that it runs over")]
    params: Annotated[dict[str, object], Says("the params of the runs, by name")]
    folders: Annotated[list[str], Says("the folders with the modules of its stages")]
    cron: Annotated[str, Says("minute, hour, day, month, weekday")]
    zone: Annotated[str, Says("the time zone of `cron`")]
    due_at: Annotated[str, Says("when the next run is due, in ISO 8601")]
    last_at: Annotated[str | None, Says("when the last one was due, in ISO 8601")]
    last_run: Annotated[str | None, Says("the run that was started then")]
    problem: Annotated[str | None, Says("why no run was started then")]
    paused_at: Annotated[str | None, Says("when it was paused, in ISO 8601; a paused schedule starts no runs")]
