"""
Rows that somebody deletes in the middle of a run: it ends all the same, names them, and no join fires before that.

OAFLOW_DELETED=ROWSxROOTS asks for more, with default settings. A root is some 17 jobs, and one of them
passes a stage with ten starts a second: 3,000 roots take five minutes at least.
"""

import os
import time
from pathlib import Path

import psycopg
import pytest

from tests.chaos.crew import HASTY, WORKER, Post, crew
from tests.chaos.history import findings, read
from tests.chaos.passages import begin, ended
from tests.chaos.test_statements import wait
from tests.warm import Warm

ASKED = os.environ.get("OAFLOW_DELETED")
ROWS, ROOTS = map(int, (ASKED or "40x60").split("x"))
# Ten times what is expected, by the roots.
PATIENCE = 60.0 + ROOTS * 0.3

DELETE = """
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT id FROM procrastinate_jobs
     WHERE status IN ('todo', 'doing') AND args #>> '{payload,entities,0,id}' IS NOT NULL
     ORDER BY random() LIMIT %s)
   AND status IN ('todo', 'doing')
RETURNING args #>> '{payload,context,oaflow,stage}', jsonb_path_query_array(args, '$.payload.entities[*].id')
"""


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)  # it waits for three things, each for so long at most
def test_deleted_rows_are_named_and_hold_nothing_up(
    database: str, tmp_path: Path, clean_environment: dict[str, str], warm: Warm
) -> None:
    post = Post(database, database, tmp_path, clean_environment, warm)
    passage = begin(database, tmp_path, seconds=0.005)
    passage.enter(ROOTS)
    passage.seal()
    with (
        crew(post, *(WORKER if ASKED else HASTY), "--executors", "2", count=2),
        psycopg.connect(database, autocommit=True) as connection,
    ):
        ended_jobs = "SELECT count(*) FROM oaflow.hops WHERE outcome = 'done'"
        wait(
            lambda: (connection.execute(ended_jobs).fetchone() or (0,))[0] > 4 * ROOTS,
            lambda: connection.execute(ended_jobs).fetchone(),
            patience=PATIENCE,
        )
        rows = connection.execute(DELETE, (ROWS,)).fetchall()
        deleted = frozenset((stage, name) for stage, names in rows for name in names)
        waiting = "SELECT FROM procrastinate_jobs WHERE status = 'todo' LIMIT 1"
        wait(lambda: not connection.execute(waiting).fetchall(), lambda: "jobs that wait", patience=PATIENCE)
        began = time.monotonic()

        assert ended(database, passage.id, 60.0) == "incomplete"
        print(f"{len(rows)} rows deleted; it ended {time.monotonic() - began:.1f} s after the last job that waited")
    assert len(deleted) >= ROWS / 2
    assert findings(read(passage, deleted)) == []
