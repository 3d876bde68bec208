"""
What commands print about documents: what became of them, what failed, what was written, and what a search finds.
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
    job: Annotated[int, Says("the id of the job")]
    stage: Annotated[str, Says("the stage at which it failed")]
    task: Annotated[str | None, Says("the function of the stage")]
    type: Annotated[str | None, Says("the type of the exception, or one of oaflow's own, such as `Timeout` or `Crash`")]
    message: Annotated[str | None, Says("the message of the exception")]
    attempts: Annotated[int | None, Says("how often it was tried")]
    at: Annotated[str, Says("when it failed, in ISO 8601")]
    documents: Annotated[list[str], Says("the ids of its documents")]
    names: Annotated[list[str], Says("the names of its documents")]
    fingerprint: Annotated[
        str,
        Says("the cause: jobs with the same fingerprint failed at the same stage and place with the same type"),
    ]
    traceback: Annotated[str | None, Says("the traceback, if there was an exception")]
    detail: Annotated[
        dict[str, object] | None, Says("what else the history records about the attempt; keys may be added")
    ]


@closed
class Receipt(TypedDict):
    """
    What became of the documents of a run; each is counted once.
    """

    run: Annotated[str, Says("the id of the run")]
    found: Annotated[int, Says("documents that were crawled or unpacked")]
    indexed: Annotated[int, Says("documents that search can find")]
    unreadable: Annotated[int, Says("of these, documents whose content could not be read")]
    unchanged: Annotated[int, Says("documents that were left out because an earlier run processed them")]
    ended: Annotated[int, Says("documents whose jobs ended without being indexed")]
    diverted: Annotated[int, Says("documents that failed and followed an `on_error` edge")]
    failed: Annotated[int, Says("documents that failed")]
    skipped: Annotated[int, Says("documents that a stage left out, with a reason")]
    dropped: Annotated[int, Says("documents that the pipeline dropped, and those of a cancelled run")]
    unmatched: Annotated[int, Says("documents that no edge took")]
    vanished: Annotated[int, Says("documents whose jobs were deleted by another program")]
    again: Annotated[
        dict[str, int],
        Says("by reason, documents that were processed again although an earlier run had seen their source"),
    ]
    balanced: Annotated[bool, Says("whether every document is accounted for and none is open")]


@closed
class ReceiptDocument(TypedDict):
    """
    A document of a receipt.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]
    line: Annotated[
        LineOrOpen, Says("the line that counts it; `open` if it is still in progress, or was lost track of")
    ]
    unreadable: Annotated[bool, Says("whether its content could not be read")]
    reason: Annotated[str | None, Says("why that line counts it")]
    why: Annotated[str | None, Says("why it was processed again, if an earlier run had seen its source")]
    way: Annotated[str | None, Says("the whole path to it, if it is inside an archive or a mail")]


@growing
class Error(TypedDict, total=False):
    """
    What went wrong with an attempt, as recorded in the history. Keys may be added.
    """

    type: Annotated[str | None, Says("the type of the exception, or one of oaflow's own")]
    message: Annotated[str | None, Says("the message")]
    traceback: Annotated[str | None, Says("the traceback")]
    place: Annotated[str | None, Says("where in the stage's code it was raised")]
    fingerprint: Annotated[str | None, Says("identifies the cause, as in `failures`")]
    help: Annotated[str | None, Says("what to do about it")]


@closed
class Attempt(TypedDict):
    """
    One attempt at a job, or another event in its history.
    """

    attempt: Annotated[int | None, Says("counted from 1; null if no worker started it")]
    outcome: Annotated[str, Says("`done`, `failed`, `retried`, `crashed`, `diverted`, ..., as in the history")]
    at: Annotated[str, Says("when it was recorded, in ISO 8601")]
    started: Annotated[str | None, Says("when the function started, in ISO 8601")]
    ended: Annotated[str | None, Says("when the function ended, in ISO 8601")]
    wait: Annotated[float | None, Says("how many seconds it waited after it could have started")]
    seconds: Annotated[float | None, Says("how many seconds the function took")]
    worker: Annotated[int | None, Says("the id of the worker")]
    place: Annotated[str | None, Says("the machine and process of the worker")]
    version: Annotated[str | None, Says("the version of the stage's code")]
    parts: Annotated[int, Says("how many chunks of a stream it handed over before it ended")]
    error: Annotated[Error | None, Says("what went wrong")]
    lost: Annotated[list[str], Says("why some of the document's output went nowhere")]


@closed
class Said(TypedDict):
    """
    A fragment that was written to the entity store because of a document.
    """

    entity: Annotated[str, Says("the id of the entity")]
    schema: Annotated[str | None, Says("its FollowTheMoney schema")]
    caption: Annotated[str | None, Says("its name")]
    origin: Annotated[str, Says("which stage wrote it: `pipeline/stage`")]
    fragment: Annotated[str, Says("the source of the statement: the id of the document")]
    at: Annotated[str | None, Says("when it was written, in ISO 8601")]


@closed
class Step(TypedDict):
    """
    A job that carried the document.
    """

    stage: Annotated[str, Says("the stage of the job")]
    job: Annotated[int, Says("the id of the job")]
    repeats: Annotated[int | None, Says("the failed job that it retries")]
    since: Annotated[str | None, Says("when it was handed over, in ISO 8601")]
    beside: Annotated[int, Says("how many other documents it carried")]
    state: Annotated[str | None, Says("for a job that has not ended: `waits`, `runs` or `is collected`")]
    attempts: Annotated[list[Attempt], Says("the attempts, oldest first")]
    wrote: Annotated[list[Said], Says("what its stage wrote because of the document")]
    next: Annotated[list["Step"], Says("the jobs that it emitted for the document")]


@closed
class Named(TypedDict):
    """
    A document by id and name.
    """

    document: Annotated[str, Says("its id")]
    name: Annotated[str, Says("its name")]


_Finder = TypedDict(
    "_Finder", {"in": Annotated[Named | None, Says("the document that contained it, such as an archive; null if none")]}
)


@closed
class Finder(_Finder):
    """
    The job that found a document.
    """

    stage: Annotated[str, Says("the stage of the job")]
    job: Annotated[int, Says("the id of the job")]


@closed
class Passport(TypedDict):
    """
    What became of a document in a run.
    """

    document: Annotated[str, Says("the id of the document")]
    name: Annotated[str, Says("its name")]
    way: Annotated[str | None, Says("the whole path to it, if it is inside an archive or a mail")]
    dataset: Annotated[str, Says("the dataset that contains it")]
    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the pipeline of the run")]
    plan: Annotated[str, Says("the digest of the plan of the run")]
    kind: Annotated[str, Says("how it was reported: `found`, `unreadable`, `skipped`, ...")]
    line: Annotated[LineOrOpen, Says("the line of the receipt that counts it; `open` if it is still in progress")]
    reason: Annotated[str | None, Says("why that line counts it")]
    found_by: Annotated[Finder | None, Says("the job that found it")]
    steps: Annotated[
        list[Step], Says("the jobs in which it entered the pipeline; the jobs that followed are nested in them")
    ]
    children: Annotated[list[Named], Says("what was found in it")]
    said: Annotated[list[Said], Says("what other stages wrote about it, such as the one that found it")]


@closed
class LogLine(TypedDict):
    """
    A line that a stage printed, or a message about it.
    """

    at: Annotated[float, Says("seconds since 1970-01-01 UTC")]
    run: Annotated[str | None, Says("the run")]
    stage: Annotated[str | None, Says("the stage")]
    job: Annotated[int | None, Says("the id of the job")]
    stream: Annotated[str, Says("`stdout` or `stderr`, or `error` or `warning` for oaflow's own messages")]
    text: Annotated[str, Says("the text that was printed or logged")]
    level: NotRequired[Annotated[str, Says("for messages of Python's logging: `debug` to `error`")]]
    logger: NotRequired[Annotated[str, Says("the name of its logger")]]
    document: NotRequired[Annotated[str, Says("the id of the document, if the job has exactly one")]]
    documents: NotRequired[Annotated[list[str], Says("the ids of the documents, if the job has several")]]


@closed
class Hit(TypedDict):
    """
    A document that contains all of the words.
    """

    file: Annotated[str, Says("the name of the file, or the caption if it is not a file")]
    page: Annotated[int | None, Says("the page of the passage, from 1; null if there are no pages")]
    passage: Annotated[str, Says("an excerpt of the text that contains the words")]
    entity: Annotated[str, Says("the id of the document")]
    schema: Annotated[str, Says("its FollowTheMoney schema")]
    score: Annotated[float, Says("higher is better; comparable only within one answer")]


@closed
class LastRun(TypedDict):
    """
    The last run over a dataset.
    """

    run: Annotated[str, Says("the id of the run")]
    pipeline: Annotated[str, Says("the pipeline of the run")]
    state: Annotated[str, Says("its state")]
    at: Annotated[str, Says("when it started, in ISO 8601")]


@closed
class Dataset(TypedDict):
    """
    A dataset, with how much it holds.
    """

    dataset: Annotated[str, Says("its name")]
    entities: Annotated[int, Says("how many entities it holds")]
    documents: Annotated[int, Says("how many of them are documents")]
    files: Annotated[int, Says("files in the archive, each counted once")]
    bytes: Annotated[int, Says("the size of these files in bytes")]
    runs: Annotated[int, Says("runs over it")]
    last_run: Annotated[LastRun | None, Says("the last of them")]
    deleting: Annotated[bool, Says("whether a deletion was begun and cut off")]


@closed
class DeletedUnreadable(TypedDict):
    """
    What was removed from a dataset because nothing could read it.
    """

    dataset: Annotated[str, Says("its name")]
    fragments: Annotated[
        dict[str, int], Says("how many fragments, by schema; the empty key is for fragments without a schema")
    ]


@closed
class Deleted(TypedDict):
    """
    A dataset that was deleted.
    """

    dataset: Annotated[str, Says("its name")]
    files: Annotated[int, Says("files that were deleted from the archive")]
    files_shared: Annotated[int, Says("files that stay because other datasets use them")]
    files_waiting: Annotated[int, Says("files that stay until the runs that may need them have ended")]
