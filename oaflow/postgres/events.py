"""
Leaves out what procrastinate does for each job and oaflow does not need: rows of events, as oaflow has its own history;
a foreign key to the worker, as a claim looks once for all its jobs, and jobs of a worker without a row are taken back
like those of a silent one; and an index on the queue alone, as the indexes of oaflow have queue and task.

On oaflow's own server all are left out, since they cost about a third, a sixth and a twelfth of a hand-over; in a
database that others use, nothing is altered.
"""

from typing import Any

from psycopg import Connection, sql

from oaflow.postgres import scripts

# The triggers that write rows of events. Those that notify workers are others, and stay.
_TRIGGERS = (
    "procrastinate_trigger_status_events_update_v1",
    "procrastinate_trigger_status_events_insert_v1",
    "procrastinate_trigger_scheduled_events_v1",
    "procrastinate_trigger_abort_requested_events_v1",
)


# The foreign key from a job to its worker. What it does where the row of a worker goes stays.
_CHECKED = "procrastinate_jobs_worker_id_fkey"

# CONCURRENTLY: workers go on meanwhile.
_INDEX = "CREATE INDEX CONCURRENTLY procrastinate_jobs_queue_name_idx_v1 ON procrastinate_jobs (queue_name)"
_NO_INDEX = "DROP INDEX CONCURRENTLY IF EXISTS procrastinate_jobs_queue_name_idx_v1"


def write_events(connection: Connection[Any], wanted: bool) -> None:
    """
    See that rows of events are written, workers looked for and queues indexed from now on, or are not. Alters nothing
    where it is so already.

    Args:
        connection: in autocommit mode.
    """
    index_queues(connection, wanted)
    names = {"names": list(_TRIGGERS), "checked": _CHECKED}
    rows = connection.execute(scripts.query("triggers"), names).fetchall()
    changed = [name for name, enabled in rows if enabled is not wanted]
    word = sql.SQL("ENABLE" if wanted else "DISABLE")
    for name in changed:
        connection.execute(sql.SQL("ALTER TABLE procrastinate_jobs {} TRIGGER {}").format(word, sql.Identifier(name)))


def index_queues(connection: Connection[Any], wanted: bool) -> None:
    """
    See that there is procrastinate's index on the queue alone, or that there is none.

    Args:
        connection: in autocommit mode.
    """
    there, usable = connection.execute(scripts.query("queue_index")).fetchone() or (False, False)
    if there and not (wanted and usable):
        connection.execute(_NO_INDEX)
    if wanted and not usable:
        connection.execute(_INDEX)
