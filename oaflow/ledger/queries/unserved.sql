-- Jobs of a run that no live worker can run. One probe per pair, for the oldest that waits, and its history tells since
-- when: it has waited at least since its parent handed it over, or, without a parent, since the run started. A worker that
-- has tried to load the task may know the reason. A worker that has just started may be about to report that it can.
SELECT pair.queue, pair.task, extract(epoch FROM clock_timestamp() - coalesce(h.at, r.created_at))::float8 AS seconds,
       coalesce(cannot.unfit, cannot.lacks) AS reason, cannot.unfit IS NOT NULL AS unfit
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    (SELECT j.args #>> '{payload,context,oaflow,parent}' AS parent FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      ORDER BY (-j.priority), j.id LIMIT 1)
    UNION ALL
    (SELECT j.args #>> '{payload,context,oaflow,parent}' FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at IS NULL
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      ORDER BY j.lock, (-j.priority), j.id LIMIT 1) LIMIT 1) first
  LEFT JOIN LATERAL (
    SELECT min(o.lacks ->> pair.task) AS lacks, min(o.unfit #>> ARRAY[%(run)s, pair.task]) AS unfit
      FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
     WHERE w.last_heartbeat > now() - make_interval(secs => %(silent)s)) cannot ON true
  LEFT JOIN oaflow.runs r ON r.id = %(run)s
  LEFT JOIN LATERAL (
    SELECT max(h.at) AS at FROM oaflow.hops h
     WHERE h.run = %(run)s AND h.job = CASE WHEN first.parent ~ '^[0-9]+$' THEN first.parent::bigint END) h ON true
 WHERE NOT EXISTS (
    SELECT 1 FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
     WHERE (pair.task = ANY (o.tasks)
            OR (o.tasks = '{}' AND o.lacks = '{}' AND o.started_at > now() - make_interval(secs => %(silent)s)))
       AND (o.run IS NULL OR o.run = %(run)s) AND o.unfit #>> ARRAY[%(run)s, pair.task] IS NULL
       AND (SELECT p.format FROM oaflow.plans p WHERE p.digest = r.plan) = ANY (o.formats)
       AND w.last_heartbeat > now() - make_interval(secs => %(silent)s))
 ORDER BY pair.queue, pair.task
