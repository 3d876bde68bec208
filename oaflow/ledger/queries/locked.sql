-- Jobs of a run that wait for a lock of a running job, counted up to 1,000, and the number of these locks.
SELECT pair.queue, pair.task, count(*)::int AS jobs, count(DISTINCT waits.lock)::int AS locks
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    SELECT j.lock FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
       AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
       AND EXISTS (SELECT FROM procrastinate_jobs d WHERE d.lock = j.lock AND d.status = 'doing')
     LIMIT 1000) waits
 GROUP BY pair.queue, pair.task ORDER BY pair.queue, pair.task
