-- For each of these tasks of services, whether a live worker takes its jobs: a worker with the shim reports its tasks; any
-- other shows it only if it holds a job of that queue, or has held one. `others` counts live workers for which this is
-- not known. procrastinate's workers write a heartbeat every 10 s; those of oaflow are not services.
WITH live AS (
    SELECT w.id, s.tasks FROM procrastinate_workers w LEFT JOIN oaflow.shims s ON s.worker = w.id
     WHERE w.last_heartbeat > now() - interval '1 min' AND NOT EXISTS (SELECT FROM oaflow.workers o WHERE o.id = w.id)
), known AS MATERIALIZED (
    SELECT DISTINCT j.queue_name AS queue FROM procrastinate_jobs j JOIN live ON live.id = j.worker_id
)
SELECT asked.queue, asked.task,
       EXISTS (SELECT FROM live WHERE asked.task = ANY (live.tasks))
           OR EXISTS (SELECT FROM known WHERE known.queue = asked.queue) AS seen,
       (SELECT count(*)::int FROM live WHERE live.tasks IS NULL) AS others
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS asked (queue, task)
 ORDER BY asked.queue, asked.task
