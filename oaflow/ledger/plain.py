"""
Plain procrastinate tasks beside the stages: claimed by queue and task, with the meaning of procrastinate's locks.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

# As procrastinate_fetch_job_v2, and by task as well: its own takes whatever stands in a queue, stages included.
CLAIM_PLAIN = """
UPDATE procrastinate_jobs SET status = 'doing', worker_id = %(worker)s WHERE id = (
    SELECT j.id FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.task_name = ANY (%(tasks)s)
       AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY (%(queues)s))
       AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
       AND NOT EXISTS (
           SELECT 1 FROM procrastinate_jobs o WHERE j.lock IS NOT NULL AND o.lock = j.lock
              AND (o.status = 'doing' OR (o.status = 'todo'
                   AND (o.priority > j.priority OR (o.priority = j.priority AND o.id < j.id)))))
     ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED)
RETURNING *
"""


async def claim_plain(
    connection: AsyncConnection[Any], worker: int, queues: Sequence[str] | None, tasks: Sequence[str]
) -> dict[str, Any] | None:
    """
    Claim the next job of one of the given plain tasks, as a row of procrastinate_jobs, or None.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            CLAIM_PLAIN, {"worker": worker, "queues": list(queues) if queues else None, "tasks": list(tasks)}
        )
        return await cursor.fetchone()


async def drop_queueing_lock(connection: AsyncConnection[Any], worker: int, job: int) -> None:
    """
    Take the queueing lock off a plain job that a worker is at, so that it can wait beside the one that has it.
    """
    await connection.execute(
        "UPDATE procrastinate_jobs SET queueing_lock = NULL"
        " WHERE id = %s AND worker_id = %s AND status::text = 'doing'",
        (job, worker),
    )
