-- Plans that stay good while the tables grow. A connection keeps the plan that it made when a run was young and its
-- tables were a page long, where reading all of a table looks cheaper than an index; nothing makes it anew before the
-- next ANALYZE. One hand-over read 9,800 finished jobs, and took 10 ms.
--
-- So nothing here leaves the planner a choice that depends on how long a table is: sequential scans are off, and rows
-- are named by what can only be looked up (a lateral subquery, an array of ids) and never joined.

-- What `complete_v1` does where all of a group is done and nothing else is to be settled: most groups are so, and as much
-- less of a statement is to be started and looked through (26 us a job became 21). It runs under the settings of
-- `complete_v1`.
CREATE FUNCTION oaflow.complete_done_v1(
    p_worker bigint, p_shard smallint,
    p_ids bigint[], p_attempts integer[], p_runs text[], p_stages text[], p_parents bigint[],
    p_started float8[], p_ended float8[], p_versions text[], p_details jsonb,
    p_next_ids bigint[], p_next_parents bigint[], p_next_queues text[], p_next_tasks text[], p_next_stages text[],
    p_next_priorities integer[], p_next_locks text[], p_next_args jsonb
) RETURNS TABLE (job bigint, answer text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH c AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(p_ids), unnest(p_attempts), unnest(p_runs), unnest(p_stages), unnest(p_parents), unnest(p_started),
            unnest(p_ended), unnest(p_versions), jsonb_array_elements(p_details)
        ) AS u (id, attempt, run, stage, parent, started, ended, version, detail)
    ), fin AS (
        -- Locked and updated at once. An index is gone through in its own order, and so the rows in that of their ids.
        UPDATE procrastinate_jobs j
           SET status = 'succeeded', attempts = j.attempts + 1, abort_requested = false, worker_id = NULL
         WHERE j.id = ANY (p_ids) AND j.status::text = 'doing' AND j.worker_id IS NOT DISTINCT FROM p_worker
           AND ((j.id, j.attempts) IN (SELECT c.id, c.attempt FROM c)) IS TRUE  -- a look into a hash, and no join
        RETURNING j.id
    ), lk AS MATERIALIZED (
        SELECT c.* FROM c WHERE (c.id IN (SELECT fin.id FROM fin)) IS TRUE
    ), n AS MATERIALIZED (
        SELECT coalesce(u.claimed, nextval('procrastinate_jobs_id_seq')) AS id, u.*, lk.run FROM ROWS FROM (
            unnest(p_next_ids), unnest(p_next_parents), unnest(p_next_queues), unnest(p_next_tasks), unnest(p_next_stages),
            unnest(p_next_priorities), unnest(p_next_locks), jsonb_array_elements(p_next_args)
        ) WITH ORDINALITY AS u (claimed, parent, queue, task, stage, priority, lock, args, ord)
        JOIN lk ON lk.id = u.parent
       ORDER BY u.ord
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, lock, args, status, worker_id)
        SELECT n.id, n.queue, n.task, n.priority, n.lock, n.args,
               CASE WHEN n.claimed IS NULL THEN 'todo' ELSE 'doing' END::procrastinate_job_status,
               CASE WHEN n.claimed IS NOT NULL THEN p_worker END
          FROM n ORDER BY n.ord
    ), succ AS MATERIALIZED (
        SELECT n.parent, array_agg(n.id ORDER BY n.ord) AS ids FROM n GROUP BY n.parent
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, started, ended, worker, version,
                                 documents, successors, detail)
        SELECT lk.run, lk.stage, lk.id, lk.parent, lk.attempt, 'done',
               to_timestamp(lk.started), to_timestamp(lk.ended), p_worker, lk.version,
               -- Most are about one document, which needs no subquery: that is a twentieth of a hand-over.
               CASE jsonb_array_length(lk.detail -> 'documents') WHEN 1 THEN ARRAY[lk.detail #>> '{documents,0}']
                    ELSE CASE WHEN lk.detail ? 'documents'
                              THEN ARRAY(SELECT jsonb_array_elements_text(lk.detail -> 'documents')) END END,
               succ.ids, nullif(lk.detail - 'documents', '{}')
          FROM lk LEFT JOIN succ ON succ.parent = lk.id
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open, done, unmatched, dropped, ended)
        SELECT x.run, x.stage, p_shard, sum(x.open), sum(x.done), sum(x.unmatched), sum(x.dropped), sum(x.ended)
          FROM (
            SELECT lk.run, lk.stage, -count(*) AS open, count(*) AS done, 0 AS unmatched, 0 AS dropped, 0 AS ended
              FROM lk GROUP BY 1, 2
            UNION ALL SELECT n.run, n.stage, count(*), 0, 0, 0, 0 FROM n GROUP BY 1, 2
            UNION ALL
            SELECT lk.run, lk.stage, 0, 0, coalesce((lk.detail ->> 'unmatched')::int, 0),
                   coalesce((lk.detail ->> 'dropped')::int, 0), coalesce((lk.detail ->> 'ended')::int, 0)
              FROM lk WHERE lk.detail ? 'lost') x
         GROUP BY 1, 2 ORDER BY 1, 2  -- one order for all
        ON CONFLICT (run, stage, shard) DO UPDATE
           SET open = k.open + excluded.open, done = k.done + excluded.done, unmatched = k.unmatched + excluded.unmatched,
               dropped = k.dropped + excluded.dropped, ended = k.ended + excluded.ended
    )
    SELECT c.id,
           CASE WHEN lk.id IS NOT NULL THEN 'applied'
                ELSE coalesce((
                    SELECT CASE WHEN j.attempts = c.attempt + 1 AND j.worker_id IS NULL
                                    AND j.status::text IN ('succeeded', 'failed', 'aborted') THEN 'already'
                                ELSE 'fenced' END
                      FROM procrastinate_jobs j WHERE j.id = c.id), 'gone') END
      FROM c LEFT JOIN lk ON lk.id = c.id;
END $$;

-- Finishes jobs, inserts their successors, moves the counters and writes the history rows: one statement.
--
-- A job counts only where its row is still 'doing', at the attempt seen at fetch, and this worker's. outcome:
--   done, failed, diverted, cancelled  the job ends; a diverted job has its on_error stage as successor
--   parted                             the job ends, and what it was collected of runs again, each alone
--   retried, crashed                   the job goes back, after p_delays seconds
--   paused                             the same, and it is not charged: a disk was full, or the worker stops
--   chunk                              a part of a stream; the job goes on
-- No two members of one call may be of one job.
-- p_details is an array beside p_ids: {documents, handed, lost, error, notes, unmatched, dropped, ended}.
-- The next jobs name their parent; p_next_args is one jsonb array beside p_next_parents. One with an id, taken from the
-- sequence before, is inserted as claimed by this worker. One with p_next_collects, [key, documents] as JSON, waits to be
-- put together with others; p_next_locks are procrastinate's.
-- Answers, for each job: applied; already (an earlier send of the same had committed); fenced (somebody else owns the
-- job now); gone (the row was deleted).
CREATE FUNCTION oaflow.complete_v1(
    p_worker bigint, p_shard smallint,
    p_ids bigint[], p_attempts integer[], p_outcomes text[], p_runs text[], p_stages text[], p_parents bigint[],
    p_started float8[], p_ended float8[], p_delays float8[], p_positions integer[], p_digests text[],
    p_versions text[], p_details jsonb,
    p_next_ids bigint[], p_next_parents bigint[], p_next_queues text[], p_next_tasks text[], p_next_stages text[],
    p_next_priorities integer[], p_next_collects text[], p_next_locks text[], p_next_args jsonb
) RETURNS TABLE (job bigint, answer text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    IF 'done' = ALL (p_outcomes) AND array_remove(p_positions, NULL) = '{}' AND array_remove(p_next_collects, NULL) = '{}'
       AND NOT EXISTS (SELECT FROM jsonb_array_elements(p_details) AS d (detail)
                        WHERE d.detail ?| '{notes,too_deep,collected}')
       AND NOT EXISTS (SELECT FROM oaflow.charges k WHERE k.job = ANY (p_ids))
       AND NOT EXISTS (SELECT FROM oaflow.chunks k WHERE k.job = ANY (p_ids))
    THEN
        RETURN QUERY SELECT * FROM oaflow.complete_done_v1(
            p_worker, p_shard, p_ids, p_attempts, p_runs, p_stages, p_parents, p_started, p_ended, p_versions, p_details,
            p_next_ids, p_next_parents, p_next_queues, p_next_tasks, p_next_stages, p_next_priorities, p_next_locks,
            p_next_args);
        RETURN;
    END IF;
    RETURN QUERY
    WITH c AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(p_ids), unnest(p_attempts), unnest(p_outcomes), unnest(p_runs), unnest(p_stages), unnest(p_parents),
            unnest(p_started), unnest(p_ended), unnest(p_delays), unnest(p_positions), unnest(p_digests),
            unnest(p_versions), jsonb_array_elements(p_details)
        ) AS u (id, attempt, outcome, run, stage, parent, started, ended, delay, position, digest, version, detail)
    ), lk AS MATERIALIZED (
        SELECT m.*, j.queue_name, j.task_name, j.priority, j.args
          FROM (SELECT * FROM c ORDER BY c.id) m  -- one order for all: two groups never wait for each other
         CROSS JOIN LATERAL (
            SELECT j.queue_name, j.task_name, j.priority, j.args FROM procrastinate_jobs j
             -- status::text: with the plain enum the planner takes the partial index on 'doing' and walks dead entries
             WHERE j.id = m.id AND j.status::text = 'doing' AND j.attempts = m.attempt
               AND j.worker_id IS NOT DISTINCT FROM p_worker
               AND (m.outcome <> 'chunk'
                    OR (SELECT k.job FROM oaflow.chunks k WHERE k.job = m.id AND k.position = m.position) IS NULL)
               FOR NO KEY UPDATE OF j) j
    ), fin AS (
        UPDATE procrastinate_jobs j
           SET status = 'succeeded', attempts = j.attempts + 1, abort_requested = false, worker_id = NULL
         WHERE j.id = ANY (ARRAY(SELECT lk.id FROM lk WHERE lk.outcome = 'done'))
    ), fin_otherwise AS (
        -- Apart from the many that are done: looking each of them up in the group was a tenth of a hand-over.
        UPDATE procrastinate_jobs j
           SET attempts = j.attempts + 1, abort_requested = false, worker_id = NULL, queueing_lock = NULL,  -- as release_v1
               (status, scheduled_at) = (
                   SELECT CASE lk.outcome WHEN 'cancelled' THEN 'aborted' WHEN 'failed' THEN 'failed'
                               WHEN 'diverted' THEN 'failed' WHEN 'parted' THEN 'failed'
                               ELSE 'todo' END::procrastinate_job_status,
                          CASE WHEN lk.outcome IN ('retried', 'crashed', 'paused')
                               THEN CASE WHEN lk.delay > 0 THEN now() + make_interval(secs => lk.delay) END
                               ELSE j.scheduled_at END
                     FROM lk WHERE lk.id = j.id)
         WHERE j.id = ANY (ARRAY(SELECT lk.id FROM lk WHERE lk.outcome NOT IN ('done', 'chunk')))
    ), n AS MATERIALIZED (
        SELECT coalesce(o.claimed, nextval('procrastinate_jobs_id_seq')) AS id, o.* FROM (
            SELECT u.*, lk.run, 0 AS attempts FROM ROWS FROM (
                unnest(p_next_ids), unnest(p_next_parents), unnest(p_next_queues), unnest(p_next_tasks), unnest(p_next_stages),
                unnest(p_next_priorities), unnest(p_next_collects), unnest(p_next_locks), jsonb_array_elements(p_next_args)
            ) WITH ORDINALITY AS u (claimed, parent, queue, task, stage, priority, collect, lock, args, ord)
            JOIN lk ON lk.id = u.parent
            UNION ALL
            SELECT NULL, lk.id, coalesce(w.args ->> 'queue', lk.queue_name), coalesce(w.args ->> 'task', lk.task_name),
                   lk.stage, lk.priority, NULL, NULL,
                   jsonb_set(w.args, '{payload,context,oaflow,parted}', 'true'), w.id, lk.run,
                   1  -- of attempt 0 it is known that nobody has begun the job before
              FROM lk CROSS JOIN LATERAL (SELECT k.* FROM oaflow.collected k WHERE k.job = lk.id OFFSET 0) w
             WHERE lk.outcome = 'parted'
             ORDER BY ord) o
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, lock, args, attempts, status, worker_id)
        SELECT n.id, n.queue, n.task, n.priority, n.lock, n.args, n.attempts,
               CASE WHEN n.claimed IS NULL THEN 'todo' ELSE 'doing' END::procrastinate_job_status,
               CASE WHEN n.claimed IS NOT NULL THEN p_worker END
          FROM n WHERE n.collect IS NULL ORDER BY n.ord
    ), waits AS (
        INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args)
        SELECT n.id, n.run, n.stage, n.collect::jsonb ->> 0, jsonb_array_length(n.args #> '{payload,entities}'),
               n.collect::jsonb -> 1, n.args
          FROM n WHERE n.collect IS NOT NULL ORDER BY n.ord
    ), succ AS MATERIALIZED (
        SELECT n.parent, array_agg(n.id ORDER BY n.ord) AS ids, count(*)::int AS size FROM n GROUP BY n.parent
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, parent, attempt, outcome, started, ended, worker, version,
                                 documents, successors, detail)
        SELECT lk.run, lk.stage, lk.id, lk.parent, lk.attempt, lk.outcome,
               to_timestamp(lk.started), to_timestamp(lk.ended), p_worker, lk.version,
               -- Most are about one document, which needs no subquery: that is a twentieth of a hand-over.
               CASE jsonb_array_length(lk.detail -> 'documents') WHEN 1 THEN ARRAY[lk.detail #>> '{documents,0}']
                    ELSE CASE WHEN lk.detail ? 'documents'
                              THEN ARRAY(SELECT jsonb_array_elements_text(lk.detail -> 'documents')) END END,
               succ.ids, nullif(CASE WHEN lk.outcome = 'parted' THEN jsonb_set(lk.detail, '{handed}', (
                                    SELECT jsonb_agg(jsonb_build_array(k.stage, k.documents) ORDER BY k.id)
                                      FROM oaflow.collected k WHERE k.job = lk.id))
                                ELSE lk.detail END - '{documents,notes}'::text[], '{}')
          FROM lk LEFT JOIN succ ON succ.parent = lk.id
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open, done, failed, unmatched, dropped, ended, diverted)
        SELECT x.run, x.stage, p_shard, sum(x.open), sum(x.done), sum(x.failed), sum(x.unmatched), sum(x.dropped),
               sum(x.ended), sum(x.diverted)
          FROM (
            SELECT lk.run, lk.stage,
                   -(lk.outcome IN ('done', 'failed', 'diverted', 'parted', 'cancelled'))::int AS open,
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
        UPDATE oaflow.charges k SET crashes = 0, suspect = false
         WHERE k.job = ANY (ARRAY(SELECT lk.id FROM lk WHERE lk.outcome = 'chunk')) AND (k.crashes > 0 OR k.suspect)
    ), settled AS (
        DELETE FROM oaflow.charges k
         WHERE k.job = ANY (ARRAY(SELECT lk.id FROM lk
                                   WHERE lk.outcome IN ('done', 'failed', 'diverted', 'parted', 'cancelled')))
    ), apart AS (
        DELETE FROM oaflow.collected k
         WHERE k.job = ANY (ARRAY(SELECT lk.id FROM lk WHERE lk.detail ? 'collected'
                                     AND lk.outcome IN ('done', 'failed', 'diverted', 'parted', 'cancelled')))
        RETURNING k.run, k.id, k.args, k.documents
    ), arrived AS (
        INSERT INTO oaflow.arrived (run, job, args)
        SELECT apart.run, apart.id, apart.args FROM apart WHERE apart.documents <> '[]'
        ON CONFLICT DO NOTHING
    ), spent AS (
        -- not of a failed one: where it is run again, it goes on behind them
        DELETE FROM oaflow.chunks k
         WHERE k.job = ANY (ARRAY(SELECT lk.id FROM lk WHERE lk.outcome IN ('done', 'diverted', 'parted', 'cancelled')))
    ), failure AS (
        INSERT INTO oaflow.failures (run, stage, job, round, queue, task, priority, args, documents,
                                     type, message, traceback, fingerprint, detail, attempts)
        SELECT lk.run, lk.stage, lk.id, coalesce((SELECT r.round FROM oaflow.runs r WHERE r.id = lk.run), 1),
               -- As the job says itself: an answer stands in the queue of answers, and is sent again to its service.
               coalesce(lk.args ->> 'queue', lk.queue_name), coalesce(lk.args ->> 'task', lk.task_name),
               lk.priority, oaflow.asked_v1(lk.args),
               CASE WHEN lk.detail ? 'documents'
                    THEN ARRAY(SELECT jsonb_array_elements_text(lk.detail -> 'documents')) END,
               e.error ->> 'type', e.error ->> 'message', e.error ->> 'traceback', e.error ->> 'fingerprint',
               nullif(e.error - 'type' - 'message' - 'traceback' - 'fingerprint', '{}'), lk.attempt + 1
          FROM lk CROSS JOIN LATERAL (SELECT lk.detail -> 'error' AS error) e
         WHERE lk.outcome = 'failed'
        UNION ALL  -- what was not sent because it would lie too deep: never a job, so nothing to run again
        SELECT lk.run, lk.stage, nextval('procrastinate_jobs_id_seq'),
               coalesce((SELECT r.round FROM oaflow.runs r WHERE r.id = lk.run), 1), NULL, NULL, NULL, NULL,
               ARRAY(SELECT jsonb_array_elements_text(loss -> 3)), 'TooDeep', loss ->> 2, NULL,
               lk.stage || ':too-deep:' || (loss ->> 1), NULL, lk.attempt + 1
          FROM lk CROSS JOIN LATERAL jsonb_array_elements(lk.detail -> 'lost') AS loss
         WHERE lk.detail ? 'too_deep' AND loss ->> 0 = 'too_deep'
        ON CONFLICT (job) DO NOTHING
    ), noted AS (
        INSERT INTO oaflow.documents AS d (run, document, name, kind, reason, job, parent, why)
        SELECT DISTINCT ON (lk.run, note ->> 'document')
               lk.run, note ->> 'document', note ->> 'name', note ->> 'kind', note ->> 'reason', lk.id,
               note ->> 'parent', note ->> 'why'
          FROM lk CROSS JOIN LATERAL jsonb_array_elements(lk.detail -> 'notes') AS note
         WHERE lk.detail ? 'notes' ORDER BY lk.run, note ->> 'document', (note ->> 'kind' = 'found')
        ON CONFLICT (run, document) DO UPDATE SET kind = excluded.kind, reason = excluded.reason
           WHERE excluded.kind <> 'found'
    )
    SELECT c.id,
           CASE WHEN lk.id IS NOT NULL THEN 'applied'
                ELSE coalesce((
                    -- Recovery leaves a row as a `retried` one does, and others may have handed over the same part.
                    SELECT CASE WHEN c.outcome = 'chunk' AND j.status::text = 'doing' AND j.attempts = c.attempt
                                    AND j.worker_id = p_worker AND EXISTS (
                                    SELECT 1 FROM oaflow.chunks k
                                     WHERE k.job = c.id AND k.position = c.position AND k.digest = c.digest)
                                    THEN 'already'
                                WHEN c.outcome <> 'chunk' AND j.attempts = c.attempt + 1 AND j.worker_id IS NULL
                                    AND CASE WHEN c.outcome IN ('retried', 'crashed', 'paused') THEN j.status::text = 'todo'
                                             ELSE j.status::text IN ('succeeded', 'failed', 'aborted') END
                                    THEN 'already'
                                ELSE 'fenced' END
                      FROM procrastinate_jobs j WHERE j.id = c.id), 'gone') END
      FROM c LEFT JOIN lk ON lk.id = c.id;
END $$;

-- As before.
CREATE OR REPLACE FUNCTION oaflow.fetch_v2(p_worker bigint, p_queues text[], p_tasks text[], p_runs text[], p_k integer)
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
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
        SELECT x.id, x.priority, triple.run FROM triple CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
               AND j.queue_name = triple.queue AND j.task_name = triple.task
               AND j.args #>> '{payload,context,oaflow,run}' = triple.run
             -- (-priority), not priority DESC: the planner would take procrastinate's own index and walk other queues
             ORDER BY (-j.priority), j.id LIMIT p_k FOR UPDATE OF j SKIP LOCKED) x
    ), due AS MATERIALIZED (
        SELECT x.id, x.priority, triple.run FROM triple CROSS JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at <= now()
               AND j.queue_name = triple.queue AND j.task_name = triple.task
               AND j.args #>> '{payload,context,oaflow,run}' = triple.run
             ORDER BY j.scheduled_at LIMIT p_k FOR UPDATE OF j SKIP LOCKED) x
    ), pick AS MATERIALIZED (
        -- Of one priority each run gets its turn: by age alone, a run of a million would let none that came later begin.
        SELECT m.id FROM (
            SELECT u.*, row_number() OVER (PARTITION BY u.run, u.priority ORDER BY u.id) AS turn
              FROM (SELECT * FROM ready UNION ALL SELECT * FROM due) u) m
         ORDER BY m.priority DESC, m.turn, m.id LIMIT p_k
    ), taken AS (
        UPDATE procrastinate_jobs j SET status = 'doing', worker_id = p_worker
         WHERE j.id = ANY (ARRAY(SELECT pick.id FROM pick CROSS JOIN me))
        RETURNING j.id, j.queue_name, j.task_name, j.priority, j.args, j.attempts
    )
    SELECT t.id, t.queue_name::text, t.task_name::text, t.priority, t.args, t.attempts,
           coalesce(c.retries, 0), coalesce(c.crashes, 0), coalesce(c.suspect, false)
      FROM taken t LEFT JOIN LATERAL (SELECT k.* FROM oaflow.charges k WHERE k.job = t.id LIMIT 1) c ON true
     ORDER BY t.priority DESC, t.id;
END $$;

ALTER FUNCTION oaflow.fetch_v1(bigint, text[], text[], integer, text[]) SET enable_seqscan = off;
ALTER FUNCTION oaflow.release_v1(bigint, bigint[]) SET enable_seqscan = off;
ALTER FUNCTION oaflow.heartbeat_v1(bigint, bigint[], bigint[]) SET enable_seqscan = off;
ALTER FUNCTION oaflow.recover_v1(interval, bigint[]) SET enable_seqscan = off;
