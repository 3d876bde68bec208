"""
The chain in a database with a past and a backlog, against the same in an empty one.
"""

from functools import partial

import psycopg

from benchmarks.ground import ground
from benchmarks.harness import Figure, Report, Size, Target, interleaved, ratios
from benchmarks.rates import ASYNC, executors_of_all_cores, ours

ROOTS: dict[Size, int] = {"tiny": 300, "small": 3_000, "full": 15_000}
ROWS: dict[Size, int] = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}

# Without triggers: how the rows came is not what is measured. The finished are of the chain's own queues and tasks, and
# have a history; the waiting are more urgent than the chain, and of a queue that no worker here knows.
FILL = """
SET session_replication_role = replica;
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, status, attempts, args)
SELECT chr(97 + n %% 3), 'benchmarks.stages.async_' || chr(97 + n %% 3), 50, 'succeeded', 1,
       jsonb_build_object('dataset', 'bench', 'batch', 'bench-before', 'payload', jsonb_build_object(
           'entities', jsonb_build_array(jsonb_build_object('id', 'doc-' || n, 'schema', 'Document')),
           'context', jsonb_build_object('oaflow', jsonb_build_object('run', 'bench-before', 'stage', 'a'))))
  FROM generate_series(1, %(rows)s) n;
INSERT INTO oaflow.hops (run, stage, job, attempt, outcome, started, ended, documents)
SELECT 'bench-before', j.queue_name, j.id, 0, 'done', now(), now(), ARRAY['doc-' || j.id] FROM procrastinate_jobs j;
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, status, args)
SELECT 'elsewhere', 'somebody.elses', 90, 'todo', jsonb_build_object('number', n) FROM generate_series(1, %(rows)s) n;
SET session_replication_role = origin;
"""


def measure(size: Size, rounds: int) -> Report:
    """
    Rates of both, and their ratio.
    """
    roots, rows = ROOTS[size], ROWS[size]
    chain = partial(ours, tasks=ASYNC, roots=roots, executors=executors_of_all_cores())
    with ground() as place:
        found = interleaved(
            {
                "empty": partial(chain, place),
                "full": partial(chain, place, prepare=partial(_filled, rows)),
            },
            rounds,
        )
    rates = {name: tuple(rate for rate, _ in of_rounds) for name, of_rounds in found.items()}
    return Report(
        "backlog",
        f"a chain of three empty async stages, {roots:,} roots, beside {rows:,} finished and {rows:,} waiting rows",
        (
            Figure("in an empty database", "jobs/s", rates["empty"]),
            Figure("beside the rows", "jobs/s", rates["full"]),
            Figure("beside the rows to empty", "times", ratios(rates["full"], rates["empty"]), Target("at least", 0.8)),
        ),
    )


def _filled(rows: int, address: str) -> str:
    # Several statements at once: these take no parameters on the server.
    with psycopg.connect(address, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(FILL, {"rows": rows})
        connection.execute("VACUUM ANALYZE")
    return address
