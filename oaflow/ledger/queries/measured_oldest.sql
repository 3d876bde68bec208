-- How long the next job of each stage of the latest open runs has waited, and on which queue. One index probe per stage,
-- and one of the history: it has waited at least since its parent handed it over, or, without a parent, since the run
-- started. Jobs that wait for another attempt or a lock are not included. The jobs of a stage have one priority, so the
-- next is the oldest.
SELECT r.pipeline, s.stage, s.queue,
       max(extract(epoch FROM clock_timestamp() - coalesce(h.at, r.created_at)))::float8 AS seconds
  FROM (SELECT id, pipeline, plan, created_at FROM oaflow.runs
         WHERE state IN ('running', 'paused', 'interrupted') ORDER BY created_at DESC LIMIT %(runs)s) r
  JOIN oaflow.plans p ON p.digest = r.plan
 CROSS JOIN LATERAL (SELECT key AS stage, value ->> 'queue' AS queue, value ->> 'task' AS task
                       FROM jsonb_each(p.definition -> 'stages')) s
 CROSS JOIN LATERAL (
    SELECT j.args #>> '{payload,context,oaflow,parent}' AS parent FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
       AND j.queue_name = s.queue AND j.task_name = s.task
       AND j.args #>> '{payload,context,oaflow,run}' = r.id
     ORDER BY (-j.priority), j.id LIMIT 1) first
  LEFT JOIN LATERAL (
    SELECT max(h.at) AS at FROM oaflow.hops h
     WHERE h.run = r.id AND h.job = CASE WHEN first.parent ~ '^[0-9]+$' THEN first.parent::bigint END) h ON true
 GROUP BY r.pipeline, s.stage, s.queue ORDER BY r.pipeline, s.stage
