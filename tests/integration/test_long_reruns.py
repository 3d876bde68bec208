"""
What a rerun of a long run keeps in memory of it.
"""

import tracemalloc

import psycopg

from oaflow.ledger.reruns import Ended, steps_of_run

DOCUMENTS = 4_000
STAGES = 5


def test_the_jobs_of_a_run_take_a_bounded_number_of_bytes_each(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO oaflow.hops (run, stage, job, outcome, version, documents, successors)"
            " SELECT 'long-abc234', 'stage' || s, d * 10 + s, 'done', '0.1.0+be7a6c1f',"
            "        ARRAY[sha256(d::text::bytea)::text], "
            "        CASE WHEN s < %(stages)s THEN ARRAY[d * 10 + s + 1] ELSE '{}' END"
            "   FROM generate_series(1, %(documents)s::bigint) d, generate_series(1, %(stages)s::bigint) s",
            {"documents": DOCUMENTS, "stages": STAGES},
        )
        tracemalloc.start()
        try:
            steps = steps_of_run(connection, "long-abc234")
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert len(steps) == DOCUMENTS * STAGES
    first, second = steps[0:2]
    assert first == Ended(
        11, "long-abc234", (), "stage1", first.documents, kept=False, version="0.1.0+be7a6c1f", failed=False
    )
    assert (second.job, second.parents, second.documents) == (12, (11,), first.documents)
    # 275 and 500; with a copy of each text in each row it was 617.
    assert (kept < 400 * len(steps), most < 800 * len(steps)) == (True, True), (kept / len(steps), most / len(steps))
