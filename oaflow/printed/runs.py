"""
What is printed of runs: how they stand, what they wait for, what becomes of them.
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
    How many jobs of a stage are where.
    """

    open: Annotated[int, Says("jobs that have not ended")]
    done: Annotated[int, Says("jobs that are done")]
    failed: Annotated[int, Says("jobs that failed for good")]
    unmatched: Annotated[int, Says("entities that no edge took; a job without entities counts as one")]
    dropped: Annotated[int, Says("jobs that the pipeline drops, and those of a cancelled run")]
    ended: Annotated[int, Says("jobs that a stage returned which no other follows")]
    diverted: Annotated[int, Says("jobs that failed for good and went along `on_error`")]
    vanished: Annotated[int, Says("jobs whose rows others deleted")]


class RunHead(TypedDict):
    """
    Which run it is, and how it stands.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the name of its pipeline")]
    plan: Annotated[str, Says("the digest of its plan")]
    dataset: Annotated[str, Says("the dataset that it is over")]
    rerun_of: Annotated[str | None, Says("the run of which it does a part again")]
    state: Annotated[State, Says("how it stands; `running`, `paused` and `interrupted` have not ended")]
    seconds: Annotated[float, Says("its age, or how long it took")]
    unchanged: Annotated[int, Says("files that were left out, as an earlier run has done them")]
    gone: Annotated[int, Says("files of the dataset that its crawl did not see any more")]


@closed
class Status(RunHead):
    """
    How a run stands.
    """

    stages: Annotated[dict[str, Counts], Says("by the name of the stage, in the order of the plan")]


class WaitFacts(TypedDict, total=False):
    """
    The numbers in the text of a `Wait`; which there are depends on `why`.
    """

    jobs: Annotated[int, Says("`limit`, `retry`, `collect`, `lock`: how many wait; of a limit counted up to 1,000")]
    seconds: Annotated[
        float | None,
        Says(
            "`retry`, `collect`: for how long at most; `unserved`, `priority`, `turn`: since when, null where not known"
        ),
    ]
    entities: Annotated[int, Says("`collect`: how many entities are in these jobs")]
    locks: Annotated[int, Says("`lock`: for how many locks they wait")]
    queue: Annotated[str, Says("`unserved`: the queue that nobody serves")]
    task: Annotated[str, Says("`unserved`: the task that nobody can run")]
    concurrency: Annotated[int | None, Says("`limit`: how many run at once")]
    rate: Annotated[float | None, Says("`limit`: how many begin in a second")]
    open: Annotated[int, Says("`rests`: how many jobs are open behind the stage; `join`: before it")]
    most: Annotated[int, Says("`rests`: how many are open at most")]
    after: Annotated[
        dict[str, int], Says("`rests`: how many are open in each of the stages behind it; `join`: before it")
    ]


@closed
class Wait(WaitFacts):
    """
    What keeps a run waiting. The numbers in its text stand beside it; which there are depends on `why`.
    """

    why: Annotated[Why, Says("the kind of the reason")]
    stage: Annotated[str | None, Says("the stage that waits; null: the whole run, or several")]
    text: Annotated[str, Says("what it waits for, in words")]
    reason: Annotated[str | None, Says("why that is so, as a worker or another program says it")]
    help: Annotated[str | None, Says("what to type")]


@closed
class Estimate(TypedDict):
    """
    How long a run will still take; all three numbers are null where there is nothing to say.
    """

    seconds: Annotated[float | None, Says("the median")]
    low: Annotated[float | None, Says("the lower end of a range that holds it four times of five")]
    high: Annotated[float | None, Says("the upper end of that range")]
    why: Annotated[str | None, Says("why there is nothing to say")]
    assumes: Annotated[str | None, Says("what it takes for granted")]


@closed
class Unmatched(TypedDict):
    """
    What a stage returned on a port and no edge took, for one reason.
    """

    stage: Annotated[str, Says("the stage that returned it")]
    port: Annotated[str, Says("the port that it was returned on")]
    reason: Annotated[str, Says("why no edge took it")]
    count: Annotated[int, Says("how many entities; a job without entities counts as one")]


@closed
class OldCode(TypedDict):
    """
    A worker that runs on with code that has changed since it loaded it.
    """

    worker: Annotated[int, Says("the number of the worker")]
    host: Annotated[str, Says("the machine that it is on")]
    pid: Annotated[int, Says("its process there")]
    text: Annotated[str, Says("which code, and which file has changed, in words")]
    help: Annotated[str | None, Says("what to type there, so that it loads the new code")]


@closed
class Details(Status):
    """
    How a run stands, and what it waits for.
    """

    waits: Annotated[list[Wait], Says("what keeps it waiting")]
    unmatched: Annotated[list[Unmatched], Says("what no edge took, the most first")]
    estimate: Annotated[Estimate | None, Says("how long it will still take; null where it does not go on")]
    old_code: Annotated[list[OldCode], Says("the workers that run an old code of its stages, while it is open")]


@closed
class WatchedCounts(Counts):
    """
    How many jobs of a stage are where, and how fast it goes.
    """

    rate: Annotated[float, Says("jobs a second, of the last ten seconds")]
    running: Annotated[int, Says("jobs that are in hand")]
    waits_for: Annotated[float | None, Says("seconds for which the next job has waited; null where none waits")]


@closed
class WatchedRun(RunHead):
    """
    A run as it goes on.
    """

    stages: Annotated[dict[str, WatchedCounts], Says("by the name of the stage, in the order of the plan")]
    waits: Annotated[list[Wait], Says("what keeps it waiting")]
    estimate: Annotated[Estimate | None, Says("how long it will still take; null where it does not go on")]


@closed
class Hand(TypedDict):
    """
    What a worker has in hand of a stage.
    """

    run: Annotated[str, Says("the run of the jobs")]
    stage: Annotated[str, Says("the stage of the jobs")]
    jobs: Annotated[int, Says("how many")]


@closed
class Worker(TypedDict):
    """
    A live worker.
    """

    worker: Annotated[int, Says("the number of the worker")]
    host: Annotated[str, Says("the machine that it is on")]
    pid: Annotated[int, Says("its process there")]
    program: Annotated[str, Says("its version of oaflow")]
    executors: Annotated[int | None, Says("how many processes run its sync stages")]
    memory: Annotated[int | None, Says("bytes of it and its executors")]
    tasks: Annotated[list[str], Says("what it can run")]
    only: Annotated[str | None, Says("the run that it works on alone; null: all")]
    stale: Annotated[
        dict[str, str], Says("the tasks of which the code has changed since it loaded it, each with a file that has")
    ]
    restart: Annotated[str | None, Says("what to type there, so that it loads the new code")]
    hands: Annotated[list[Hand], Says("what it has in hand")]


@closed
class View(TypedDict):
    """
    What goes on at one moment.
    """

    runs: Annotated[list[WatchedRun], Says("the runs that go on, and the last that ended")]
    workers: Annotated[list[Worker], Says("the live workers")]


@closed
class RecentRun(TypedDict):
    """
    One of the latest runs.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the name of its pipeline")]
    dataset: Annotated[str, Says("the dataset that it is over")]
    state: Annotated[State, Says("how it stands")]


@closed
class Detached(TypedDict):
    """
    A run that was begun and left to a process in the background.
    """

    run: Annotated[str, Says("the id of the run")]
    process: Annotated[int | None, Says("the process that follows it; null where the workers are elsewhere")]
    log: Annotated[str | None, Says("the file that it writes to; null where the workers are elsewhere")]


@closed
class Paused(TypedDict):
    """
    A run that is held.
    """

    run: Annotated[str, Says("the id of the run")]
    state: Annotated[State, Says("how it stands now")]


@closed
class Cancelled(Paused):
    """
    A run that was cancelled.
    """

    waiting: Annotated[int, Says("how many waiting jobs were taken out")]


@closed
class Rerun(TypedDict):
    """
    What `rerun` would do again, in jobs as there were the last time.
    """

    run: Annotated[str, Says("the run of which it is a part")]
    dataset: Annotated[str, Says("the dataset of that run")]
    asked: Annotated[str, Says("what was asked for, as it is typed; empty: all of it")]
    chosen: Annotated[int, Says("how many jobs were asked for")]
    documents: Annotated[int, Says("how many documents these are about")]
    first: Annotated[dict[str, int], Says("by stage, the jobs to begin with")]
    after: Annotated[dict[str, int], Says("by stage, the jobs that came of them")]
    versions: Annotated[dict[str, int], Says("the versions of code that they met, with how many jobs met each")]
    newer: Annotated[int, Says("documents that stay as they are: a later run has had them, or they are gone")]
    lost: Annotated[int, Says("documents of which nothing is kept to begin with")]


@closed
class Variant(TypedDict):
    """
    How long a run would take in one way. What is null is as it was.
    """

    workers: Annotated[int | None, Says("so many workers of all stages")]
    executors: Annotated[int | None, Says("so many executors of each worker")]
    own: Annotated[dict[str, int], Says("by stage, so many workers of its own")]
    concurrency: Annotated[dict[str, int], Says("by stage, so many jobs at once")]
    seconds: Annotated[float, Says("how long it would take: the median")]
    low: Annotated[float, Says("the lower end of a range that holds it four times of five")]
    high: Annotated[float, Says("the upper end of that range")]
    busiest: Annotated[str, Says("what was full for longest: a stage, or the executors")]
    share: Annotated[float, Says("the share of the time for which that was full")]


@closed
class Simulated(TypedDict):
    """
    How long a run would take with other workers or limits.
    """

    run: Annotated[str, Says("the id of the run")]
    took: Annotated[float, Says("seconds for which it was worked on in fact")]
    rest: Annotated[bool, Says("whether it has not ended, and only what is left of it is told")]
    assumes: Annotated[str, Says("what it takes for granted")]
    variants: Annotated[list[Variant], Says("what was asked for; the first is as it was")]


@closed
class Schedule(TypedDict):
    """
    Runs that are begun by the clock.
    """

    name: Annotated[str, Says("of the schedule")]
    pipeline: Annotated[str, Says("the name of the pipeline")]
    plan: Annotated[str, Says("the digest of what is run")]
    dataset: Annotated[str, Says("the dataset that it is run over")]
    params: Annotated[dict[str, object], Says("the params of the runs, by name")]
    folders: Annotated[list[str], Says("where the modules of its stages lie")]
    cron: Annotated[str, Says("minute, hour, day, month, weekday")]
    zone: Annotated[str, Says("the time zone of the times")]
    due_at: Annotated[str, Says("when the next run is due, in ISO 8601")]
    last_at: Annotated[str | None, Says("when the last one was due, in ISO 8601")]
    last_run: Annotated[str | None, Says("the run that was begun then")]
    problem: Annotated[str | None, Says("why none was begun then")]
    paused_at: Annotated[str | None, Says("since when it is paused, and begins no run, in ISO 8601")]
