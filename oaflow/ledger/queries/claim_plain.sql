-- Like procrastinate_fetch_job_v2, but by task, too: procrastinate's takes any job of a queue, including stages.
-- A worker that was declared dead has no row, and claims nothing: on our own server, no foreign key would prevent it.
UPDATE procrastinate_jobs t SET status = 'doing', worker_id = me.id
  FROM (SELECT w.id FROM procrastinate_workers w WHERE w.id = %(worker)s FOR KEY SHARE) me WHERE t.id = (
    SELECT j.id FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.task_name = ANY (%(tasks)s)
       AND (%(queues)s::text[] IS NULL OR j.queue_name = ANY (%(queues)s))
       AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
       AND NOT EXISTS (
           SELECT 1 FROM procrastinate_jobs o WHERE j.lock IS NOT NULL AND o.lock = j.lock
              AND (o.status = 'doing' OR (o.status = 'todo'
                   AND (o.priority > j.priority OR (o.priority = j.priority AND o.id < j.id)))))
     ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED)
RETURNING t.*
