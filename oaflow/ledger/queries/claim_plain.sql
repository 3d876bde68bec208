-- As procrastinate_fetch_job_v2, and by task as well: procrastinate's takes whatever stands in a queue, stages included.
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
