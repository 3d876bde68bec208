"""
What is printed of documents: what became of them, what failed, what was said, and what is found.
"""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from oaflow.printed.shapes import Says, closed, growing

Line = Literal["failed", "vanished", "diverted", "indexed", "unchanged", "ended", "unmatched", "dropped", "skipped"]
LineOrOpen = Literal[Line, "open"]


@closed
class Failure(TypedDict):
    """
    A job that failed for good.
    """

    run: Annotated[str, Says("the id of the run")]
    job: Annotated[int, Says("the number of the job")]
    stage: Annotated[str, Says("the stage that it failed at")]
    task: Annotated[str | None, Says("the function of the stage")]
    type: Annotated[str | None, Says("the type of the exception, or `Timeout`, `Crash` and others of oaflow's own")]
    message: Annotated[str | None, Says("what the exception says")]
    attempts: Annotated[int | None, Says("how often it was tried")]
    at: Annotated[str, Says("when it failed, in ISO 8601")]
    documents: Annotated[list[str], Says("the ids of its documents")]
    names: Annotated[list[str], Says("the names of its documents")]
    fingerprint: Annotated[str, Says("the cause: jobs with one fingerprint failed at one stage, place and type")]
    traceback: Annotated[str | None, Says("the traceback, where there was an exception")]
    detail: Annotated[dict[str, object] | None, Says("what else the history keeps of the attempt; keys may come")]


@closed
class Receipt(TypedDict):
    """
    What became of the documents of a run; each is counted once.
    """

    run: Annotated[str, Says("the id of the run")]
    found: Annotated[int, Says("documents that were crawled or unpacked")]
    indexed: Annotated[int, Says("documents that can be found")]
    unreadable: Annotated[int, Says("of these, documents whose content could not be read")]
    unchanged: Annotated[int, Says("documents that were left out, as an earlier run has done them")]
    ended: Annotated[int, Says("documents that came to an end without being indexed")]
    diverted: Annotated[int, Says("documents that failed and went along `on_error`")]
    failed: Annotated[int, Says("documents that failed")]
    skipped: Annotated[int, Says("documents that a stage left out, with a reason")]
    dropped: Annotated[int, Says("documents that the pipeline drops, and those of a cancelled run")]
    unmatched: Annotated[int, Says("documents that no edge took")]
    vanished: Annotated[int, Says("documents whose jobs others deleted")]
    again: Annotated[dict[str, int], Says("by reason, documents that ran though an earlier run knew their source")]
    balanced: Annotated[bool, Says("whether every document is accounted for, and nothing is open")]


@closed
class ReceiptDocument(TypedDict):
    """
    A document of a receipt.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]
    line: Annotated[LineOrOpen, Says("where it is counted; `open` where it is on its way, or was lost sight of")]
    unreadable: Annotated[bool, Says("whether its content could not be read")]
    reason: Annotated[str | None, Says("why it is counted there")]
    why: Annotated[str | None, Says("why it ran, where an earlier run knew its source")]
    way: Annotated[str | None, Says("the whole way to it, where it lies in an archive or a mail")]


@growing
class Error(TypedDict, total=False):
    """
    What went wrong with an attempt, as the history keeps it. Keys may come.
    """

    type: Annotated[str | None, Says("the type of the exception, or one of oaflow's own")]
    message: Annotated[str | None, Says("what it says")]
    traceback: Annotated[str | None, Says("the traceback")]
    place: Annotated[str | None, Says("where in the code of the stage it came from")]
    fingerprint: Annotated[str | None, Says("the cause, as `failures` names it")]
    help: Annotated[str | None, Says("what can be done")]


@closed
class Attempt(TypedDict):
    """
    One attempt at a job, or what else became of it.
    """

    attempt: Annotated[int | None, Says("counted from 1; null where nobody began it")]
    outcome: Annotated[str, Says("`done`, `failed`, `retried`, `crashed`, `diverted`, ... as in the history")]
    at: Annotated[str, Says("when that was, in ISO 8601")]
    started: Annotated[str | None, Says("when the function began, in ISO 8601")]
    ended: Annotated[str | None, Says("when the function ended, in ISO 8601")]
    wait: Annotated[float | None, Says("seconds for which it waited since it could have begun")]
    seconds: Annotated[float | None, Says("seconds that the function took")]
    worker: Annotated[int | None, Says("the number of the worker")]
    place: Annotated[str | None, Says("the machine and process of the worker")]
    version: Annotated[str | None, Says("the version of the code of the stage")]
    parts: Annotated[int, Says("how many parts of a stream were handed over before its end")]
    error: Annotated[Error | None, Says("what went wrong")]
    lost: Annotated[list[str], Says("why something of the document went nowhere")]


@closed
class Said(TypedDict):
    """
    What is said in the entity store because of a document.
    """

    entity: Annotated[str, Says("the id of the entity")]
    schema: Annotated[str | None, Says("its FollowTheMoney schema")]
    caption: Annotated[str | None, Says("its name")]
    origin: Annotated[str, Says("who said so: `pipeline/stage`")]
    fragment: Annotated[str, Says("because of what: the id of the document")]
    at: Annotated[str | None, Says("when, in ISO 8601")]


@closed
class Step(TypedDict):
    """
    A job that had the document.
    """

    stage: Annotated[str, Says("the stage of the job")]
    job: Annotated[int, Says("the number of the job")]
    repeats: Annotated[int | None, Says("the failed job that it repeats")]
    since: Annotated[str | None, Says("when it was handed over, in ISO 8601")]
    beside: Annotated[int, Says("how many other documents were in it")]
    state: Annotated[str | None, Says("of a job that has not ended: `waits`, `runs`, or `is collected`")]
    attempts: Annotated[list[Attempt], Says("the attempts at it, the first first")]
    wrote: Annotated[list[Said], Says("what its stage has said because of the document")]
    next: Annotated[list["Step"], Says("the jobs that came of it and had the document too")]


@closed
class Named(TypedDict):
    """
    A document by id and name.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]


_Finder = TypedDict("_Finder", {"in": Annotated[Named | None, Says("what it was found in, as an archive; null: none")]})


@closed
class Finder(_Finder):
    """
    The job that found a document.
    """

    stage: Annotated[str, Says("the stage of the job")]
    job: Annotated[int, Says("the number of the job")]


@closed
class Passport(TypedDict):
    """
    What became of a document in a run.
    """

    document: Annotated[str, Says("the id of the document")]
    name: Annotated[str, Says("its name")]
    way: Annotated[str | None, Says("the whole way to it, where it lies in an archive or a mail")]
    dataset: Annotated[str, Says("the dataset that it is in")]
    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the pipeline of the run")]
    plan: Annotated[str, Says("the digest of the plan of the run")]
    kind: Annotated[str, Says("`found`, `unreadable`, `skipped`, ... as it was reported")]
    line: Annotated[LineOrOpen, Says("where the receipt counts it; `open` where it is on its way")]
    reason: Annotated[str | None, Says("why it is counted there")]
    found_by: Annotated[Finder | None, Says("the job that found it")]
    steps: Annotated[list[Step], Says("the jobs that it entered with; those that followed are in them")]
    children: Annotated[list[Named], Says("what was found in it")]
    said: Annotated[list[Said], Says("what else is said about it, as by the stage that found it")]


@closed
class LogLine(TypedDict):
    """
    A line that a stage printed, or that was said of it.
    """

    at: Annotated[float, Says("seconds since 1970")]
    run: Annotated[str | None, Says("the run")]
    stage: Annotated[str | None, Says("the stage")]
    job: Annotated[int | None, Says("the number of the job")]
    stream: Annotated[str, Says("`stdout` or `stderr`; `error` and `warning` are oaflow's own")]
    text: Annotated[str, Says("what was printed, or logged")]
    level: NotRequired[Annotated[str, Says("of what was told to Python's logging: `debug` to `error`")]]
    logger: NotRequired[Annotated[str, Says("the name of its logger")]]
    document: NotRequired[Annotated[str, Says("the id of the document, where the job has one")]]
    documents: NotRequired[Annotated[list[str], Says("all ids, where the job has several")]]


@closed
class Hit(TypedDict):
    """
    A document that has all of the words.
    """

    file: Annotated[str, Says("the name of the file, or the caption of what is none")]
    page: Annotated[int | None, Says("the page of the passage, from 1; null where there are none")]
    passage: Annotated[str, Says("a piece of the text with the words in it")]
    entity: Annotated[str, Says("the id of the document")]
    schema: Annotated[str, Says("its FollowTheMoney schema")]
    score: Annotated[float, Says("higher is better; comparable in one answer only")]


@closed
class LastRun(TypedDict):
    """
    The last run over a dataset.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("its pipeline")]
    state: Annotated[str, Says("how it stands")]
    at: Annotated[str, Says("when it began, in ISO 8601")]


@closed
class Dataset(TypedDict):
    """
    A dataset, with how much it holds.
    """

    dataset: Annotated[str, Says("its name")]
    entities: Annotated[int, Says("entities in it")]
    documents: Annotated[int, Says("of these, documents")]
    files: Annotated[int, Says("files in the archive, each counted once")]
    bytes: Annotated[int, Says("bytes of these files")]
    runs: Annotated[int, Says("runs over it")]
    last_run: Annotated[LastRun | None, Says("the last of them")]
    deleting: Annotated[bool, Says("whether a deletion was begun and cut off")]


@closed
class DeletedUnreadable(TypedDict):
    """
    What of a dataset was taken out, as nobody could read it.
    """

    dataset: Annotated[str, Says("its name")]
    fragments: Annotated[dict[str, int], Says("how many fragments, by schema; `` is none")]


@closed
class Deleted(TypedDict):
    """
    A dataset that was deleted.
    """

    dataset: Annotated[str, Says("its name")]
    files: Annotated[int, Says("files that went from the archive")]
    files_shared: Annotated[int, Says("files that stay, as other datasets have them")]
    files_waiting: Annotated[int, Says("files that stay until runs have ended that may ask for them")]
