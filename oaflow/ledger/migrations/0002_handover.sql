-- The hand-over and the claim. All of it is fenced, and so can be sent again after a lost answer.
-- plpgsql where it is hot: it keeps its plan for the connection, which SQL functions do from Postgres 18 on only.

-- Claims up to p_k jobs of the given (queue, task) pairs for a worker, of the runs in p_runs only: what else stands under
-- these names is not ours, or paused. A worker without a row, one that was declared dead, claims nothing.
-- One index probe a pair: other queues' backlog, scheduled jobs and held locks cost nothing. Stages use no locks here.
-- This reads no table that grows with finished work.
CREATE FUNCTION oaflow.fetch_v1(p_worker bigint, p_queues text[], p_tasks text[], p_k integer, p_runs text[])
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH me AS MATERIALIZED (SELECT w.id FROM procrastinate_workers w WHERE w.id = p_worker FOR KEY SHARE),
    pair AS (SELECT * FROM unnest(p_queues, p_tasks) AS u (queue, task)),
    ready AS MATERIALIZED (
        SELECT x.id, x.priority FROM pair CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
               AND j.queue_name = pair.queue AND j.task_name = pair.task
               AND j.args #>> '{payload,context,oaflow,run}' = ANY (p_runs)
             -- (-priority), not priority DESC: the planner would take procrastinate's own index and walk other queues
             ORDER BY (-j.priority), j.id LIMIT p_k FOR UPDATE OF j SKIP LOCKED) x
    ), due AS MATERIALIZED (
        SELECT x.id, x.priority FROM pair CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at <= now()
               AND j.queue_name = pair.queue AND j.task_name = pair.task
               AND j.args #>> '{payload,context,oaflow,run}' = ANY (p_runs)
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

-- Gives back what was claimed and not started: no attempt is spent. These are jobs of stages, which have no queueing lock;
-- one that somebody gave them goes, since another job of it may wait by now, and procrastinate lets one wait.
CREATE FUNCTION oaflow.release_v1(p_worker bigint, p_ids bigint[]) RETURNS integer
LANGUAGE sql AS $$
    WITH back AS (
        UPDATE procrastinate_jobs j SET status = 'todo', worker_id = NULL, abort_requested = false, queueing_lock = NULL
         WHERE j.id = ANY (p_ids) AND j.status::text = 'doing' AND j.worker_id = p_worker RETURNING 1)
    SELECT count(*)::int FROM back
$$;

-- Gives a plain job that came back its queueing lock again, where no other one of it waits. Where one does, both run: to
-- end the one that came back would lose what it was asked for. Who is about to enter one is not waited for, since beats
-- and recoveries of all would wait along.
CREATE FUNCTION oaflow.queueing_lock_v1(p_job bigint, p_lock text) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
BEGIN
    UPDATE procrastinate_jobs SET queueing_lock = p_lock WHERE id = p_job;
EXCEPTION WHEN unique_violation OR lock_not_available THEN
    NULL;
END $$;

-- Says that a worker lives, and with which jobs in hand. Rows that are 'doing' under this worker and not in hand come
-- back as suspects (an answer to a fetch was lost); what the worker confirms one beat later as p_reclaim goes back.
-- Two steps on purpose: the row of a fetch that is still on the wire looks the same.
-- Custom plans: the heart keeps its connection for days, and tables grow.
CREATE FUNCTION oaflow.heartbeat_v1(p_worker bigint, p_mine bigint[], p_reclaim bigint[])
RETURNS TABLE (alive boolean, reclaimed bigint[], suspects bigint[])
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE r record;
BEGIN
    UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = p_worker;
    alive := FOUND;
    reclaimed := '{}';
    FOR r IN
        WITH lost AS MATERIALIZED (
            SELECT j.id, j.queueing_lock FROM procrastinate_jobs j
             WHERE j.id = ANY (p_reclaim) AND j.worker_id = p_worker AND j.status::text = 'doing'
             ORDER BY j.id FOR UPDATE SKIP LOCKED
        ), back AS (
            UPDATE procrastinate_jobs j SET status = 'todo', attempts = j.attempts + 1, worker_id = NULL,
                                            abort_requested = false, queueing_lock = NULL
              FROM lost WHERE j.id = lost.id
        )
        SELECT lost.id, lost.queueing_lock FROM lost
    LOOP
        reclaimed := reclaimed || r.id;
        IF r.queueing_lock IS NOT NULL THEN PERFORM oaflow.queueing_lock_v1(r.id, r.queueing_lock); END IF;
    END LOOP;
    suspects := ARRAY(SELECT j.id FROM procrastinate_jobs j
                       WHERE j.worker_id = p_worker AND j.status = 'doing'
                         AND NOT (j.id = ANY (p_mine)) AND NOT (j.id = ANY (p_reclaim)));
    RETURN NEXT;
END $$;

-- Takes back the jobs of dead workers: those in p_dead (children whose end was seen) and those silent for p_timeout.
-- Only oaflow's own: jobs of workers registered here, and stage jobs whose worker has no row any more (whether a foreign
-- key set them to NULL or not: OpenAleph drops it). And jobs of external stages whose service's worker has been silent
-- four times as long (60 s; its heart beats every 10): other workers of procrastinate look for such only when they begin.
-- attempts + 1 fences the old owner and says nothing about blame. A sync stage ran in a process of its own and is not
-- charged. An async stage may have taken the worker down: those are suspects, and run alone next time; one that ran
-- alone is charged with the crash. What too many crashes mean is decided by the worker that claims the job.
CREATE FUNCTION oaflow.recover_v1(p_timeout interval, p_dead bigint[])
RETURNS TABLE (job bigint, run text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE r record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.recover')) THEN RETURN; END IF;
    FOR r IN
        WITH dead AS MATERIALIZED (
            SELECT w.id, o.async_tasks FROM oaflow.workers o LEFT JOIN procrastinate_workers w ON w.id = o.id
             WHERE o.id = ANY (p_dead) OR w.id IS NULL OR w.last_heartbeat < now() - p_timeout
        ), lost AS MATERIALIZED (
            SELECT j.id, j.attempts, j.queueing_lock, j.args #> '{payload,context,oaflow}' AS mark,
                   -- where somebody else deleted the worker's row, its job no longer says which worker that was
                   coalesce(j.task_name = ANY (d.async_tasks),
                            EXISTS (SELECT 1 FROM dead g WHERE g.id IS NULL AND j.task_name = ANY (g.async_tasks))) AS unsure,
                   coalesce(c.suspect AND c.alone = j.attempts, false) AS guilty
              FROM procrastinate_jobs j
              LEFT JOIN dead d ON d.id = j.worker_id LEFT JOIN oaflow.charges c ON c.job = j.id
             WHERE j.status = 'doing'
               AND (d.id IS NOT NULL
                    OR (j.args #>> '{payload,context,oaflow,run}' IS NOT NULL
                        AND NOT EXISTS (SELECT 1 FROM procrastinate_workers w WHERE w.id = j.worker_id))
                    OR (j.args #> '{payload,context,oaflow,external}' IS NOT NULL
                        AND EXISTS (SELECT 1 FROM procrastinate_workers w
                                     WHERE w.id = j.worker_id AND w.last_heartbeat < now() - 4 * p_timeout)))
             ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
        ), back AS (
            UPDATE procrastinate_jobs j
               SET status = 'todo', attempts = j.attempts + 1, worker_id = NULL, abort_requested = false,
                   queueing_lock = NULL
              FROM lost l WHERE j.id = l.id
        ), charged AS (
            INSERT INTO oaflow.charges AS k (job, crashes, suspect)
            SELECT l.id, l.guilty::int, true FROM lost l WHERE l.unsure
            ON CONFLICT (job) DO UPDATE SET crashes = k.crashes + excluded.crashes, suspect = true
        ), hop AS (
            INSERT INTO oaflow.hops (run, stage, job, attempt, outcome)
            SELECT l.mark ->> 'run', l.mark ->> 'stage', l.id, l.attempts, 'orphaned' FROM lost l WHERE l.mark ? 'run'
        ), gone AS (
            DELETE FROM oaflow.workers o USING dead d WHERE o.id = d.id OR (d.id IS NULL AND NOT EXISTS (
                SELECT 1 FROM procrastinate_workers w WHERE w.id = o.id))
        ), gone_too AS (
            DELETE FROM procrastinate_workers w USING dead d WHERE w.id = d.id
        )
        SELECT l.id, l.mark ->> 'run' AS run, l.queueing_lock FROM lost l
    LOOP
        job := r.id;
        run := r.run;
        IF r.queueing_lock IS NOT NULL THEN PERFORM oaflow.queueing_lock_v1(r.id, r.queueing_lock); END IF;
        RETURN NEXT;
    END LOOP;
END $$;
