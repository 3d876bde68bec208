-- Jobs of a run that wait for another attempt, counted up to 1,000, and the seconds until the next and the last of them
-- start. Two probes per pair.
SELECT pair.queue, pair.task, count(*) AS jobs, extract(epoch FROM min(due.at) - now())::float8 AS seconds,
       extract(epoch FROM max(due.at) - now())::float8 AS last
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    (SELECT j.scheduled_at AS at FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NOT NULL AND j.scheduled_at > now()
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      ORDER BY j.scheduled_at LIMIT 1000)
    UNION ALL
    (SELECT j.scheduled_at FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at IS NOT NULL AND j.scheduled_at > now()
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      LIMIT 1000)) due
 GROUP BY pair.queue, pair.task ORDER BY pair.queue, pair.task
