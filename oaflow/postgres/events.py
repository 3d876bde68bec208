"""
procrastinate's rows of events. Nothing of oaflow reads them: the history is in the hops.

On oaflow's own server they are left out, since they cost about a third of a hand-over; in a database that others use,
nothing is altered.
"""

from typing import Any

from psycopg import Connection, sql

from oaflow.postgres import scripts

# The triggers that write them. Those that notify workers are others, and stay.
_TRIGGERS = (
    "procrastinate_trigger_status_events_update_v1",
    "procrastinate_trigger_status_events_insert_v1",
    "procrastinate_trigger_scheduled_events_v1",
    "procrastinate_trigger_abort_requested_events_v1",
)


def write_events(connection: Connection[Any], wanted: bool) -> None:
    """
    See that rows of events are written from now on, or are not. Alters nothing where it is so already.
    """
    rows = connection.execute(scripts.query("triggers"), {"names": list(_TRIGGERS)}).fetchall()
    changed = [name for name, enabled in rows if enabled is not wanted]
    word = sql.SQL("ENABLE" if wanted else "DISABLE")
    for name in changed:
        connection.execute(sql.SQL("ALTER TABLE procrastinate_jobs {} TRIGGER {}").format(word, sql.Identifier(name)))
