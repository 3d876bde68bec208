"""
What commands print for those who operate oaflow.
"""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from oaflow.printed.shapes import Says, closed


@closed
class Limit(TypedDict):
    """
    The limits of a task. Null means unlimited.
    """

    name: Annotated[str, Says("QUEUE/TASK, as you type it")]
    queue: Annotated[str, Says("the queue")]
    task: Annotated[str, Says("the task")]
    concurrency: Annotated[int | None, Says("how many jobs may run at once")]
    rate: Annotated[float | None, Says("how many jobs may start per second")]
    said_concurrency: Annotated[int | None, Says("the value set by `oaflow limit`, which overrides the plans")]
    said_rate: Annotated[float | None, Says("the value set by `oaflow limit`, which overrides the plans")]
    running: Annotated[int, Says("running jobs of all runs")]
    waiting: Annotated[int, Says("waiting jobs of all runs, counted up to 1,000")]


@closed
class Finding(TypedDict):
    """
    One finding of `doctor`.
    """

    level: Annotated[Literal["fine", "note", "problem"], Says("with a `problem`, the exit code is 3")]
    what: Annotated[str, Says("what was checked")]
    text: Annotated[str, Says("the result")]
    help: Annotated[str | None, Says("what to do about it")]


@closed
class Migrated(TypedDict):
    """
    What was done to the schema of the database.
    """

    steps: Annotated[list[str], Says("each step, in words")]
    done: Annotated[bool, Says("false with `--dry-run`")]
    entity_indexes_missing: Annotated[
        list[str], Says("entity tables of other programs that lack an index on origin and fragment")
    ]


@closed
class Pruned(TypedDict):
    """
    What was removed because of its age.
    """

    older_than: Annotated[float, Says("the age limit, in days")]
    jobs: Annotated[int, Says("how many ended jobs were removed")]
    history: Annotated[list[str], Says("the tables of history that were dropped")]
    done: Annotated[bool, Says("false with `--dry-run`")]


@closed
class Upgraded(TypedDict):
    """
    The private database after an upgrade of PostgreSQL.
    """

    before: Annotated[str, Says("the version before")]
    now: Annotated[str, Says("the version now")]
    kept: Annotated[str, Says("the folder with the old data")]
    bytes: Annotated[int, Says("the size of the old data in bytes")]


@closed
class Checked(TypedDict):
    """
    The schema of the database.
    """

    postgres: Annotated[str, Says("the version of the server")]
    migrations: Annotated[list[str], Says("the migrations that were applied")]
    indexes_missing: Annotated[list[str], Says("indexes that are missing")]
    captured: Annotated[bool, Says("whether triggers capture what services hand over")]
    entity_indexes_missing: Annotated[
        list[str], Says("entity tables of other programs that lack an index on origin and fragment")
    ]


@closed
class Webhook(TypedDict):
    """
    An address that is notified when runs end.
    """

    name: Annotated[str, Says("the name of the webhook")]
    url: Annotated[str, Says("the address up to the host; the rest may be secret and is left out")]
    pipeline: Annotated[str | None, Says("the only pipeline whose runs it reports; null: all pipelines")]
    created_at: Annotated[str, Says("when it was added, in ISO 8601")]
    last_at: Annotated[str | None, Says("when it was last tried, in ISO 8601")]
    problem: Annotated[str | None, Says("why that attempt failed; null if it was accepted")]
    waiting: Annotated[int, Says("how many notifications are still to be sent")]
    given_up: Annotated[int, Says("how many notifications were given up")]
    seconds: Annotated[float | None, Says("how many seconds the oldest has been waiting")]


@closed
class WebhookTried(TypedDict):
    """
    The result of a test message.
    """

    webhook: Annotated[str, Says("the name of the webhook")]
    problem: Annotated[str | None, Says("why it failed; null if it was accepted")]
    again: Annotated[int, Says("how many notifications that were given up are being sent again")]


@closed
class BackupFacts(TypedDict):
    """
    The metadata of a backup.
    """

    format: Annotated[int, Says("the version of the file format")]
    oaflow: Annotated[str, Says("the version of oaflow that wrote it")]
    taken: Annotated[float, Says("when it was taken, in seconds since 1970-01-01 UTC")]
    settings: Annotated[dict[str, object], Says("the settings at that time, except addresses")]
    archive: Annotated[bool, Says("whether it contains the files of the archive")]


@closed
class Backup(TypedDict):
    """
    A backup that was written, or restored.
    """

    file: Annotated[str, Says("the file of the backup")]
    facts: Annotated[BackupFacts, Says("its metadata")]
    database: Annotated[int, Says("the size of its database dump in bytes")]
    files: Annotated[int, Says("how many other files it contains")]
    size: Annotated[int, Says("the size of these files in bytes")]
    absent: Annotated[list[str], Says("what it does not contain, in sentences")]
    came_back: Annotated[
        int, Says("jobs that were running when it was taken and will run again; 0 when a backup is written")
    ]
