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

-- Finishes jobs, inserts their successors, moves the counters and writes the history rows: one statement.
--
-- A job counts only where its row is still 'doing', at the attempt seen at fetch, and this worker's. outcome:
--   done, failed, diverted, cancelled  the job ends; a diverted job has its on_error stage as successor
--   retried, crashed                   the job goes back, after p_delays seconds
--   paused                             the same, and it is not charged: a disk was full, or the worker stops
--   chunk                              a part of a stream; the job goes on
-- No two members of one call may be of one job.
-- p_details is an array beside p_ids: {documents, handed, lost, error, notes, unmatched, dropped, ended}.
-- The next jobs name their parent; p_next_args is one jsonb array beside p_next_parents. One with an id, taken from the
-- sequence before, is inserted as claimed by this worker.
-- Answers, for each job: applied; already (an earlier send of the same had committed); fenced (somebody else owns the
-- job now); gone (the row was deleted).
CREATE FUNCTION oaflow.complete_v1(
    p_worker bigint, p_shard smallint,
    p_ids bigint[], p_attempts integer[], p_outcomes text[], p_runs text[], p_stages text[], p_parents bigint[],
    p_started float8[], p_ended float8[], p_delays float8[], p_positions integer[], p_digests text[],
    p_versions text[], p_details jsonb,
    p_next_ids bigint[], p_next_parents bigint[], p_next_queues text[], p_next_tasks text[], p_next_stages text[],
    p_next_priorities integer[], p_next_args jsonb
) RETURNS TABLE (job bigint, answer text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH c AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(p_ids), unnest(p_attempts), unnest(p_outcomes), unnest(p_runs), unnest(p_stages), unnest(p_parents),
            unnest(p_started), unnest(p_ended), unnest(p_delays), unnest(p_positions), unnest(p_digests),
            unnest(p_versions), jsonb_array_elements(p_details)
        ) AS u (id, attempt, outcome, run, stage, parent, started, ended, delay, position, digest, version, detail)
    ), lk AS MATERIALIZED (
        SELECT c.*, j.queue_name, j.task_name, j.priority, j.args
          FROM procrastinate_jobs j JOIN c ON c.id = j.id
         -- status::text: with the plain enum the planner takes the partial index on 'doing' and walks dead entries
         WHERE j.status::text = 'doing' AND j.attempts = c.attempt AND j.worker_id IS NOT DISTINCT FROM p_worker
           AND (c.outcome <> 'chunk'
                OR NOT EXISTS (SELECT 1 FROM oaflow.chunks k WHERE k.job = c.id AND k.position = c.position))
         ORDER BY j.id FOR NO KEY UPDATE OF j  -- one order for all: two groups never wait for each other
    ), fin AS (
        UPDATE procrastinate_jobs j
           SET status = CASE lk.outcome WHEN 'done' THEN 'succeeded' WHEN 'cancelled' THEN 'aborted'
                             WHEN 'failed' THEN 'failed' WHEN 'diverted' THEN 'failed'
                             ELSE 'todo' END::procrastinate_job_status,
               attempts = j.attempts + 1, abort_requested = false, worker_id = NULL,
               scheduled_at = CASE WHEN lk.outcome IN ('retried', 'crashed', 'paused')
                                   THEN CASE WHEN lk.delay > 0 THEN now() + make_interval(secs => lk.delay) END
                                   ELSE j.scheduled_at END
          FROM lk WHERE j.id = lk.id AND lk.outcome <> 'chunk'
    ), n AS MATERIALIZED (
        SELECT coalesce(o.claimed, nextval('procrastinate_jobs_id_seq')) AS id, o.* FROM (
            SELECT u.*, lk.run FROM ROWS FROM (
                unnest(p_next_ids), unnest(p_next_parents), unnest(p_next_queues), unnest(p_next_tasks), unnest(p_next_stages),
                unnest(p_next_priorities), jsonb_array_elements(p_next_args)
            ) WITH ORDINALITY AS u (claimed, parent, queue, task, stage, priority, args, ord)
            JOIN lk ON lk.id = u.parent ORDER BY u.ord) o
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args, status, worker_id)
        SELECT n.id, n.queue, n.task, n.priority, n.args,
               CASE WHEN n.claimed IS NULL THEN 'todo' ELSE 'doing' END::procrastinate_job_status,
               CASE WHEN n.claimed IS NOT NULL THEN p_worker END
          FROM n ORDER BY n.ord
    ), succ AS MATERIALIZED (
        SELECT n.parent, array_agg(n.id ORDER BY n.ord) AS ids, count(*)::int AS size FROM n GROUP BY n.parent
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, started, ended, worker, version,
                                 documents, successors, detail)
        SELECT lk.run, lk.stage, lk.id, lk.parent, lk.attempt, lk.outcome,
               to_timestamp(lk.started), to_timestamp(lk.ended), p_worker, lk.version,
               CASE WHEN lk.detail ? 'documents'
                    THEN ARRAY(SELECT jsonb_array_elements_text(lk.detail -> 'documents')) END,
               succ.ids, nullif(lk.detail - 'documents' - 'notes', '{}')
          FROM lk LEFT JOIN succ ON succ.parent = lk.id
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open, done, failed, unmatched, dropped, ended, diverted)
        SELECT x.run, x.stage, p_shard, sum(x.open), sum(x.done), sum(x.failed), sum(x.unmatched), sum(x.dropped),
               sum(x.ended), sum(x.diverted)
          FROM (
            SELECT lk.run, lk.stage,
                   -(lk.outcome IN ('done', 'failed', 'diverted', 'cancelled'))::int AS open,
                   (lk.outcome = 'done')::int AS done, (lk.outcome = 'failed')::int
                       + coalesce((lk.detail ->> 'too_deep')::int, 0) AS failed,
                   coalesce((lk.detail ->> 'unmatched')::int, 0) AS unmatched,
                   coalesce((lk.detail ->> 'dropped')::int, 0) AS dropped,
                   coalesce((lk.detail ->> 'ended')::int, 0) AS ended,
                   (lk.outcome = 'diverted')::int AS diverted
              FROM lk
            UNION ALL SELECT n.run, n.stage, 1, 0, 0, 0, 0, 0, 0 FROM n) x
         GROUP BY 1, 2 ORDER BY 1, 2  -- one order for all
        ON CONFLICT (run, stage, shard) DO UPDATE
           SET open = k.open + excluded.open, done = k.done + excluded.done, failed = k.failed + excluded.failed,
               unmatched = k.unmatched + excluded.unmatched, dropped = k.dropped + excluded.dropped,
               ended = k.ended + excluded.ended, diverted = k.diverted + excluded.diverted
    ), chunk AS (
        INSERT INTO oaflow.chunks (job, position, digest, size)
        SELECT lk.id, lk.position, lk.digest, coalesce(succ.size, 0) FROM lk LEFT JOIN succ ON succ.parent = lk.id
         WHERE lk.position IS NOT NULL ON CONFLICT DO NOTHING
    ), charged AS (
        INSERT INTO oaflow.charges AS k (job, retries, crashes)
        SELECT lk.id, (lk.outcome = 'retried')::int, (lk.outcome = 'crashed')::int FROM lk
         WHERE lk.outcome IN ('retried', 'crashed') ORDER BY lk.id
        ON CONFLICT (job) DO UPDATE
           SET retries = k.retries + excluded.retries, crashes = k.crashes + excluded.crashes, suspect = false
    ), progress AS (
        UPDATE oaflow.charges k SET crashes = 0, suspect = false FROM lk
         WHERE k.job = lk.id AND lk.outcome = 'chunk' AND (k.crashes > 0 OR k.suspect)
    ), settled AS (
        DELETE FROM oaflow.charges k USING lk
         WHERE k.job = lk.id AND lk.outcome IN ('done', 'failed', 'diverted', 'cancelled')
    ), spent AS (
        DELETE FROM oaflow.chunks k USING lk WHERE k.job = lk.id AND lk.outcome = 'done'
    ), failure AS (
        INSERT INTO oaflow.failures (run, stage, job, round, queue, task, priority, args, documents,
                                     type, message, traceback, fingerprint, detail, attempts)
        SELECT lk.run, lk.stage, lk.id, coalesce(r.round, 1), lk.queue_name, lk.task_name, lk.priority, lk.args,
               CASE WHEN lk.detail ? 'documents'
                    THEN ARRAY(SELECT jsonb_array_elements_text(lk.detail -> 'documents')) END,
               e.error ->> 'type', e.error ->> 'message', e.error ->> 'traceback', e.error ->> 'fingerprint',
               nullif(e.error - 'type' - 'message' - 'traceback' - 'fingerprint', '{}'), lk.attempt + 1
          FROM lk CROSS JOIN LATERAL (SELECT lk.detail -> 'error' AS error) e LEFT JOIN oaflow.runs r ON r.id = lk.run
         WHERE lk.outcome = 'failed'
        UNION ALL  -- what was not sent because it would lie too deep: never a job, so nothing to run again
        SELECT lk.run, lk.stage, nextval('procrastinate_jobs_id_seq'), coalesce(r.round, 1), NULL, NULL, NULL, NULL,
               ARRAY(SELECT jsonb_array_elements_text(loss -> 3)), 'TooDeep', loss ->> 2, NULL,
               lk.stage || ':too-deep:' || (loss ->> 1), NULL, lk.attempt + 1
          FROM lk CROSS JOIN LATERAL jsonb_array_elements(lk.detail -> 'lost') AS loss
          LEFT JOIN oaflow.runs r ON r.id = lk.run
         WHERE lk.detail ? 'too_deep' AND loss ->> 0 = 'too_deep'
        ON CONFLICT (job) DO NOTHING
    ), noted AS (
        INSERT INTO oaflow.documents AS d (run, document, name, kind, reason)
        SELECT DISTINCT ON (lk.run, note ->> 'document')
               lk.run, note ->> 'document', note ->> 'name', note ->> 'kind', note ->> 'reason'
          FROM lk CROSS JOIN LATERAL jsonb_array_elements(lk.detail -> 'notes') AS note
         WHERE lk.detail ? 'notes' ORDER BY lk.run, note ->> 'document', (note ->> 'kind' = 'found')
        ON CONFLICT (run, document) DO UPDATE SET kind = excluded.kind, reason = excluded.reason
           WHERE excluded.kind <> 'found'
    )
    SELECT c.id,
           CASE WHEN lk.id IS NOT NULL THEN 'applied'
                WHEN j.id IS NULL THEN 'gone'
                WHEN c.outcome = 'chunk' AND EXISTS (
                    SELECT 1 FROM oaflow.chunks k WHERE k.job = c.id AND k.position = c.position AND k.digest = c.digest)
                    THEN 'already'
                WHEN c.outcome <> 'chunk' AND j.attempts = c.attempt + 1 AND j.worker_id IS NULL THEN 'already'
                ELSE 'fenced' END
      FROM c LEFT JOIN lk ON lk.id = c.id LEFT JOIN procrastinate_jobs j ON j.id = c.id;
END $$;

-- Gives back what was claimed and not started: no attempt is spent.
CREATE FUNCTION oaflow.release_v1(p_worker bigint, p_ids bigint[]) RETURNS integer
LANGUAGE sql AS $$
    WITH back AS (
        UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, abort_requested = false
         WHERE id = ANY (p_ids) AND status::text = 'doing' AND worker_id = p_worker RETURNING 1)
    SELECT count(*)::int FROM back
$$;

-- Says that a worker lives, and with which jobs in hand. Rows that are 'doing' under this worker and not in hand come
-- back as suspects (an answer to a fetch was lost); what the worker confirms one beat later as p_reclaim goes back.
-- Two steps on purpose: the row of a fetch that is still on the wire looks the same.
CREATE FUNCTION oaflow.heartbeat_v1(p_worker bigint, p_mine bigint[], p_reclaim bigint[])
RETURNS TABLE (alive boolean, reclaimed bigint[], suspects bigint[])
LANGUAGE sql AS $$
    WITH beat AS (
        UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = p_worker RETURNING 1
    ), back AS (
        UPDATE procrastinate_jobs j SET status = 'todo', worker_id = NULL, attempts = attempts + 1
         WHERE j.id = ANY (p_reclaim) AND j.worker_id = p_worker AND j.status::text = 'doing' RETURNING j.id
    )
    SELECT EXISTS (SELECT 1 FROM beat),
           coalesce((SELECT array_agg(back.id) FROM back), '{}'),
           coalesce((SELECT array_agg(j.id) FROM procrastinate_jobs j
                      WHERE j.worker_id = p_worker AND j.status = 'doing'
                        AND NOT (j.id = ANY (p_mine)) AND NOT (j.id = ANY (p_reclaim))), '{}')
$$;

-- Takes back the jobs of dead workers: those in p_dead (children whose end was seen) and those silent for p_timeout.
-- Only oaflow's own: jobs of workers registered here, and stage jobs whose worker has no row any more (whether a foreign
-- key set them to NULL or not: OpenAleph drops it).
-- attempts + 1 fences the old owner and says nothing about blame. A sync stage ran in a process of its own and is not
-- charged. An async stage may have taken the worker down: those are suspects, and run alone next time; one that ran
-- alone is charged with the crash. What too many crashes mean is decided by the worker that claims the job.
CREATE FUNCTION oaflow.recover_v1(p_timeout interval, p_dead bigint[])
RETURNS TABLE (job bigint, run text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.recover')) THEN RETURN; END IF;
    RETURN QUERY
    WITH dead AS MATERIALIZED (
        SELECT w.id, o.async_tasks FROM oaflow.workers o LEFT JOIN procrastinate_workers w ON w.id = o.id
         WHERE o.id = ANY (p_dead) OR w.id IS NULL OR w.last_heartbeat < now() - p_timeout
    ), lost AS MATERIALIZED (
        SELECT j.id, j.attempts, j.args #> '{payload,context,oaflow}' AS mark,
               -- where somebody else deleted the worker's row, its job no longer says which worker that was
               coalesce(j.task_name = ANY (d.async_tasks),
                        EXISTS (SELECT 1 FROM dead g WHERE g.id IS NULL AND j.task_name = ANY (g.async_tasks))) AS unsure,
               coalesce(c.suspect AND c.alone = j.attempts, false) AS guilty
          FROM procrastinate_jobs j
          LEFT JOIN dead d ON d.id = j.worker_id LEFT JOIN oaflow.charges c ON c.job = j.id
         WHERE j.status = 'doing'
           AND (d.id IS NOT NULL
                OR (j.args #>> '{payload,context,oaflow,run}' IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM procrastinate_workers w WHERE w.id = j.worker_id)))
         ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
    ), back AS (
        UPDATE procrastinate_jobs j
           SET status = 'todo', attempts = j.attempts + 1, worker_id = NULL, abort_requested = false
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
    SELECT l.id, l.mark ->> 'run' FROM lost l;
END $$;
