-- How long the next job of a run has waited, by queue and task: one probe for each. It has waited since its parent handed
-- it over or, if that is not known, since the run started.
SELECT pair.queue, pair.task, extract(epoch FROM clock_timestamp() - coalesce(h.at, r.created_at))::float8 AS seconds
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    SELECT j.args #>> '{payload,context,oaflow,parent}' AS parent FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
       AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
     ORDER BY (-j.priority), j.id LIMIT 1) first
  LEFT JOIN oaflow.runs r ON r.id = %(run)s
  LEFT JOIN LATERAL (
    SELECT max(h.at) AS at FROM oaflow.hops h
     WHERE h.run = %(run)s AND h.job = CASE WHEN first.parent ~ '^[0-9]+$' THEN first.parent::bigint END) h ON true
