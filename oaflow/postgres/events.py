"""
What procrastinate's triggers do for each job, and nothing of oaflow needs: rows of events, as the history is in the
hops, and a look whether the job's worker has a row, as a claim looks once for all, and jobs of one without a row are
taken back like those of one that is silent.

On oaflow's own server both are left out, since they cost about a third and a sixth of a hand-over; in a database that
others use, nothing is altered.
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


def write_events(connection: Connection[Any], wanted: bool) -> None:
    """
    See that rows of events are written and workers looked for from now on, or are not. Alters nothing where it is so
    already.
    """
    names = {"names": list(_TRIGGERS), "checked": _CHECKED}
    rows = connection.execute(scripts.query("triggers"), names).fetchall()
    changed = [name for name, enabled in rows if enabled is not wanted]
    word = sql.SQL("ENABLE" if wanted else "DISABLE")
    for name in changed:
        connection.execute(sql.SQL("ALTER TABLE procrastinate_jobs {} TRIGGER {}").format(word, sql.Identifier(name)))
