"""
What is printed for who keeps it running.
"""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from oaflow.printed.shapes import Says, closed


@closed
class Limit(TypedDict):
    """
    How much of a task is done at once. What is null is not limited.
    """

    name: Annotated[str, Says("QUEUE/TASK, as it is typed")]
    queue: Annotated[str, Says("the queue")]
    task: Annotated[str, Says("the task")]
    concurrency: Annotated[int | None, Says("how many jobs run at once")]
    rate: Annotated[float | None, Says("how many jobs begin in a second")]
    said_concurrency: Annotated[int | None, Says("what `oaflow limit` said, which holds before the plans")]
    said_rate: Annotated[float | None, Says("what `oaflow limit` said, which holds before the plans")]
    running: Annotated[int, Says("jobs that run, of all runs")]
    waiting: Annotated[int, Says("jobs that wait, of all runs; counted up to 1,000")]


@closed
class Finding(TypedDict):
    """
    What `doctor` found.
    """

    level: Annotated[Literal["fine", "note", "problem"], Says("with a `problem` the exit code is 3")]
    what: Annotated[str, Says("what was looked at")]
    text: Annotated[str, Says("how it is")]
    help: Annotated[str | None, Says("what can be done")]


@closed
class Migrated(TypedDict):
    """
    What was done to the schema of the database.
    """

    steps: Annotated[list[str], Says("each step, in words")]
    done: Annotated[bool, Says("false with `--dry-run`")]
    entity_indexes_missing: Annotated[list[str], Says("entity tables of others without an index on origin, fragment")]


@closed
class Pruned(TypedDict):
    """
    What old was taken out.
    """

    older_than: Annotated[float, Says("days")]
    jobs: Annotated[int, Says("jobs that had ended")]
    history: Annotated[list[str], Says("the tables of history that went")]
    done: Annotated[bool, Says("false with `--dry-run`")]


@closed
class Upgraded(TypedDict):
    """
    The private database, on another PostgreSQL.
    """

    before: Annotated[str, Says("the version that it was on")]
    now: Annotated[str, Says("the version that it is on")]
    kept: Annotated[str, Says("the folder with the old data")]
    bytes: Annotated[int, Says("bytes of the old data")]


@closed
class Checked(TypedDict):
    """
    The schema of the database.
    """

    postgres: Annotated[str, Says("the version of the server")]
    migrations: Annotated[list[str], Says("the migrations that were applied")]
    indexes_missing: Annotated[list[str], Says("indexes that are not there")]
    captured: Annotated[bool, Says("whether triggers take down what services hand over")]
    entity_indexes_missing: Annotated[list[str], Says("entity tables of others without an index on origin, fragment")]


@closed
class Webhook(TypedDict):
    """
    An address that is told of the end of runs.
    """

    name: Annotated[str, Says("of the webhook")]
    url: Annotated[str, Says("the address, without what stands behind the host, as that may be a secret")]
    pipeline: Annotated[str | None, Says("of the runs of this one only; null: of all")]
    created_at: Annotated[str, Says("when it was added, in ISO 8601")]
    last_at: Annotated[str | None, Says("when it was last tried, in ISO 8601")]
    problem: Annotated[str | None, Says("why that failed; null: it was accepted")]
    waiting: Annotated[int, Says("how many ends are still to be told")]
    given_up: Annotated[int, Says("how many are not tried any more")]
    seconds: Annotated[float | None, Says("since when the first of them waits")]


@closed
class WebhookTried(TypedDict):
    """
    What came of an example that was sent.
    """

    webhook: Annotated[str, Says("the name of the webhook")]
    problem: Annotated[str | None, Says("why it failed; null: it was accepted")]
    again: Annotated[int, Says("how many ends that it was not told are sent again")]


@closed
class BackupFacts(TypedDict):
    """
    What a backup says of itself.
    """

    format: Annotated[int, Says("the form of the file")]
    oaflow: Annotated[str, Says("the version that wrote it")]
    taken: Annotated[float, Says("when, in seconds since 1970")]
    settings: Annotated[dict[str, object], Says("the settings of then that are no addresses")]
    archive: Annotated[bool, Says("whether the files of the archive are in it")]


@closed
class Backup(TypedDict):
    """
    A backup that was written, or restored.
    """

    file: Annotated[str, Says("its file")]
    facts: Annotated[BackupFacts, Says("what it says of itself")]
    database: Annotated[int, Says("bytes of the database in it")]
    files: Annotated[int, Says("how many files besides")]
    size: Annotated[int, Says("bytes of these files")]
    absent: Annotated[list[str], Says("what is not in it, in sentences")]
    came_back: Annotated[int, Says("jobs that were in hand when it was taken, and run again; 0 where it was written")]
