-- Claims by run as well as by queue and task: one index probe for each of them, so that what waits of a run that is
-- paused, interrupted, or another worker's costs nothing.

-- As fetch_v1, of the given (queue, task, run) triples. Where others have dropped the index by run, that many walks
-- would cost more than one for each (queue, task): then it is fetch_v1's.
CREATE FUNCTION oaflow.fetch_v2(p_worker bigint, p_queues text[], p_tasks text[], p_runs text[], p_k integer)
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF to_regclass('oaflow_run_ready') IS NULL THEN
        RETURN QUERY
        SELECT f.* FROM (
            SELECT array_agg(p.queue) AS queues, array_agg(p.task) AS tasks
              FROM (SELECT DISTINCT u.queue, u.task FROM unnest(p_queues, p_tasks) AS u (queue, task)) p) pairs
         CROSS JOIN LATERAL oaflow.fetch_v1(p_worker, pairs.queues, pairs.tasks, p_k, p_runs) f;
        RETURN;
    END IF;
    RETURN QUERY
    WITH me AS MATERIALIZED (SELECT w.id FROM procrastinate_workers w WHERE w.id = p_worker FOR KEY SHARE),
    triple AS (SELECT * FROM unnest(p_queues, p_tasks, p_runs) AS u (queue, task, run)),
    ready AS MATERIALIZED (
        SELECT x.id, x.priority FROM triple CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
               AND j.queue_name = triple.queue AND j.task_name = triple.task
               AND j.args #>> '{payload,context,oaflow,run}' = triple.run
             -- (-priority), not priority DESC: the planner would take procrastinate's own index and walk other queues
             ORDER BY (-j.priority), j.id LIMIT p_k FOR UPDATE OF j SKIP LOCKED) x
    ), due AS MATERIALIZED (
        SELECT x.id, x.priority FROM triple CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at <= now()
               AND j.queue_name = triple.queue AND j.task_name = triple.task
               AND j.args #>> '{payload,context,oaflow,run}' = triple.run
             ORDER BY j.scheduled_at LIMIT p_k FOR UPDATE OF j SKIP LOCKED) x
    ), pick AS MATERIALIZED (
        SELECT m.id FROM (SELECT * FROM ready UNION ALL SELECT * FROM due) m ORDER BY m.priority DESC, m.id LIMIT p_k
    ), taken AS (
        UPDATE procrastinate_jobs j SET status = 'doing', worker_id = p_worker
          FROM pick CROSS JOIN me WHERE j.id = pick.id
        RETURNING j.id, j.queue_name, j.task_name, j.priority, j.args, j.attempts
    )
    SELECT t.id, t.queue_name::text, t.task_name::text, t.priority, t.args, t.attempts,
           coalesce(c.retries, 0), coalesce(c.crashes, 0), coalesce(c.suspect, false)
      FROM taken t LEFT JOIN oaflow.charges c ON c.job = t.id
     ORDER BY t.priority DESC, t.id;
END $$;

-- Ours of before, by queue and task alone: those by run take their place (`indexes.sql`).
DROP INDEX IF EXISTS oaflow_ready;
DROP INDEX IF EXISTS oaflow_due;
