-- Statements of one function each have a snapshot of their own, and so have two transactions: what one has looked at may be
-- another's by the time it acts. Each function is as it was, but for what stands above it.

-- Of two sends of one part of a stream at the same time, the second waits before it looks: a part leaves the row of its job as
-- it is, so that no look at the row alone would tell, and all of it was handed over twice.
CREATE OR REPLACE FUNCTION oaflow.complete_v1(
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
    IF 'chunk' = ANY (p_outcomes) THEN
        PERFORM 1 FROM procrastinate_jobs j
         WHERE j.id = ANY (ARRAY(SELECT u.id FROM unnest(p_ids, p_outcomes) AS u (id, outcome) WHERE u.outcome = 'chunk'))
         ORDER BY j.id FOR NO KEY UPDATE;
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

-- The dead are locked before their jobs are looked at: what one claimed between the two looks had no worker any more, and a
-- plain job without one is nobody's, for ever. So it was with a row that somebody was at: its worker stays until it is free.
CREATE OR REPLACE FUNCTION oaflow.recover_v1(p_timeout interval, p_dead bigint[])
RETURNS TABLE (job bigint, run text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE r record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.recover')) THEN RETURN; END IF;
    PERFORM 1 FROM procrastinate_workers w
     WHERE w.id IN (SELECT o.id FROM oaflow.workers o) AND (w.id = ANY (p_dead) OR w.last_heartbeat < now() - p_timeout)
     ORDER BY w.id FOR UPDATE;
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
        ), rid AS MATERIALIZED (
            SELECT d.id FROM dead d
             WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs j
                                WHERE j.worker_id = d.id AND j.status = 'doing' AND j.id NOT IN (SELECT l.id FROM lost l))
        ), gone AS (
            DELETE FROM oaflow.workers o USING rid d WHERE o.id = d.id OR (d.id IS NULL AND NOT EXISTS (
                SELECT 1 FROM procrastinate_workers w WHERE w.id = o.id))
        ), gone_too AS (
            DELETE FROM procrastinate_workers w USING rid d WHERE w.id = d.id
        )
        SELECT l.id, l.mark ->> 'run' AS run, l.queueing_lock FROM lost l
    LOOP
        job := r.id;
        run := r.run;
        IF r.queueing_lock IS NOT NULL THEN PERFORM oaflow.queueing_lock_v1(r.id, r.queueing_lock); END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- One that is being removed is waited for, and then left out: the end of the run was refused, as there was no such webhook.
CREATE OR REPLACE FUNCTION oaflow.tell_v1() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO oaflow.deliveries (webhook, run, body)
    SELECT w.name, NEW.id, jsonb_build_object(
               'type', 'run.' || NEW.state,
               'timestamp', to_char(NEW.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'data', jsonb_build_object(
                   'run', NEW.id, 'pipeline', NEW.pipeline, 'dataset', NEW.dataset, 'state', NEW.state,
                   'reason', NEW.reason, 'round', NEW.round,
                   'seconds', round(extract(epoch FROM NEW.finished_at - NEW.created_at)::numeric, 3),
                   'jobs', (SELECT jsonb_build_object('done', coalesce(sum(k.done), 0), 'failed', coalesce(sum(k.failed), 0),
                                                      'diverted', coalesce(sum(k.diverted), 0),
                                                      'vanished', coalesce(sum(k.vanished), 0))
                              FROM oaflow.counters k WHERE k.run = NEW.id)))::text
      FROM oaflow.webhooks w WHERE w.pipeline IS NULL OR w.pipeline = NEW.pipeline
       FOR KEY SHARE OF w;
    RETURN NULL;
END $$;

-- A day whose first row comes between the look and the partition gets none: those of the other days were not made, either, and
-- in that hour nothing was pruned.
CREATE OR REPLACE FUNCTION oaflow.partitions_v1(p_days integer) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    day date;
    name text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.partitions')) THEN RETURN; END IF;
    SET LOCAL lock_timeout = '1s';
    FOR day IN SELECT today + n FROM generate_series(0, p_days) n LOOP
        name := 'hops_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('oaflow.' || name) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT 1 FROM oaflow.hops_default
                               WHERE at >= day::timestamp AT TIME ZONE 'UTC' AND at < (day + 1)::timestamp AT TIME ZONE 'UTC');
        BEGIN
            EXECUTE format('CREATE TABLE oaflow.%I (LIKE oaflow.hops INCLUDING DEFAULTS)', name);
            EXECUTE format('ALTER TABLE oaflow.hops ATTACH PARTITION oaflow.%I FOR VALUES FROM (%L) TO (%L)', name,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            RETURN NEXT name;
        EXCEPTION
            WHEN lock_not_available THEN RETURN;  -- the next hour will do
            WHEN check_violation THEN NULL;
        END;
    END LOOP;
END $$;

-- What somebody has in hand is left, as other claims do: with a cancellation, which goes by another order, it waited in a
-- circle.
CREATE OR REPLACE FUNCTION oaflow.take_locked_v1(
    p_worker bigint, p_queue text, p_task text, p_runs text[], p_k integer, p_after text)
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean, lock text)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_run text;
    v_lock text;
    v_wrapped boolean;
    v_most integer;
    v_left integer := p_k;
    v_runs integer := cardinality(p_runs);
    v_held boolean := false;
BEGIN
    PERFORM 1 FROM procrastinate_workers w WHERE w.id = p_worker FOR KEY SHARE;
    IF NOT FOUND THEN RETURN; END IF;
    FOR v_run IN SELECT u.run FROM unnest(p_runs) AS u (run) ORDER BY random() LOOP
        v_most := ceil(v_left::float8 / v_runs);
        v_runs := v_runs - 1;
        v_lock := p_after;
        v_wrapped := p_after = '';
        WHILE v_most > 0 LOOP
            SELECT least(
                (SELECT j.lock FROM procrastinate_jobs j
                  WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at IS NULL
                    AND j.queue_name = p_queue AND j.task_name = p_task
                    AND j.args #>> '{payload,context,oaflow,run}' = v_run AND j.lock > v_lock
                  ORDER BY j.lock LIMIT 1),
                (SELECT j.lock FROM procrastinate_jobs j
                  WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at <= now()
                    AND j.queue_name = p_queue AND j.task_name = p_task
                    AND j.args #>> '{payload,context,oaflow,run}' = v_run AND j.lock > v_lock
                  ORDER BY j.lock LIMIT 1)) INTO v_lock;
            IF v_lock IS NULL AND NOT v_wrapped THEN
                v_wrapped := true;
                v_lock := '';
                CONTINUE;
            END IF;
            EXIT WHEN v_lock IS NULL OR (v_wrapped AND p_after <> '' AND v_lock > p_after);
            IF EXISTS (SELECT 1 FROM procrastinate_jobs d WHERE d.lock = v_lock AND d.status = 'doing')
               OR NOT pg_try_advisory_xact_lock(hashtext('oaflow.lock'), hashtext(v_lock)) THEN
                v_held := true;
                CONTINUE;
            END IF;
            BEGIN
                -- A statement of its own: it sees what another claim of this lock had committed before it let go.
                UPDATE procrastinate_jobs j SET status = 'doing', worker_id = p_worker
                 WHERE j.id = (SELECT o.id FROM procrastinate_jobs o WHERE o.status::text = 'todo' AND o.id = (
                    SELECT x.id FROM (
                        (SELECT j.id, j.priority FROM procrastinate_jobs j
                          WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at IS NULL
                            AND j.queue_name = p_queue AND j.task_name = p_task
                            AND j.args #>> '{payload,context,oaflow,run}' = v_run AND j.lock = v_lock
                          ORDER BY (-j.priority), j.id LIMIT 1)
                        UNION ALL
                        (SELECT j.id, j.priority FROM procrastinate_jobs j
                          WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at <= now()
                            AND j.queue_name = p_queue AND j.task_name = p_task
                            AND j.args #>> '{payload,context,oaflow,run}' = v_run AND j.lock = v_lock
                          ORDER BY j.scheduled_at LIMIT 1)) x
                     ORDER BY x.priority DESC, x.id LIMIT 1) FOR UPDATE SKIP LOCKED)
                   AND j.status::text = 'todo'
                   AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs d WHERE d.lock = v_lock AND d.status = 'doing')
                RETURNING j.id, j.queue_name, j.task_name, j.priority, j.args, j.attempts, j.lock
                     INTO id, queue, task, priority, args, attempts, lock;
            EXCEPTION WHEN unique_violation THEN  -- a worker of another program was faster
                id := NULL;
            END;
            IF id IS NULL THEN
                v_held := true;
                CONTINUE;
            END IF;
            SELECT coalesce(max(k.retries), 0), coalesce(max(k.crashes), 0), coalesce(bool_or(k.suspect), false)
              INTO retries, crashes, suspect FROM oaflow.charges k WHERE k.job = id;
            RETURN NEXT;
            v_most := v_most - 1;
            v_left := v_left - 1;
        END LOOP;
    END LOOP;
    IF v_held THEN
        id := NULL; lock := NULL;
        RETURN NEXT;
    END IF;
END $$;

-- Looked at again under the lock of the run: one that was being sent again was cancelled for what had failed before.
CREATE OR REPLACE FUNCTION oaflow.stop_v1(p_run text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
    FOR r IN
        SELECT u.id, k.failed, coalesce(u.stop_after::text, u.stop_percent || '%') AS most
          FROM oaflow.runs u CROSS JOIN LATERAL (
            SELECT coalesce(sum(c.failed), 0) AS failed,
                   coalesce(sum(c.open) FILTER (WHERE c.stage = ANY (u.sources)), 0) AS to_read
              FROM oaflow.counters c WHERE c.run = u.id) k
         WHERE u.state = 'running' AND u.round = 1 AND (p_run IS NULL OR u.id = p_run) AND k.failed > 0
           AND CASE WHEN u.stop_percent IS NULL THEN k.failed >= u.stop_after
                    WHEN NOT u.sealed OR k.to_read > 0 THEN false
                    ELSE k.failed * 100 >= u.stop_percent * (SELECT count(*) FROM oaflow.documents d WHERE d.run = u.id) END
         ORDER BY u.id
    LOOP
        PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(r.id));
        CONTINUE WHEN NOT EXISTS (SELECT FROM oaflow.runs u WHERE u.id = r.id AND u.state = 'running' AND u.round = 1);
        PERFORM oaflow.cancel_v1(r.id, format('stopped after %s failure%s (--stop-after %s)', r.failed,
                                              CASE WHEN r.failed = 1 THEN '' ELSE 's' END, r.most));
        RETURN NEXT r.id;
    END LOOP;
END $$;

-- A job of a service that ends after `answer_rest_v1` has looked is not lost: the next sweep answers it.
CREATE OR REPLACE FUNCTION oaflow.vanish_v1(p_run text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    WITH handed AS MATERIALIZED (
        SELECT s.id, h.job AS parent, h.detail -> 'handed' -> (s.ord::int - 1) ->> 0 AS stage,
               h.detail -> 'handed' -> (s.ord::int - 1) -> 1 AS documents
          FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (id, ord)
         WHERE h.run = p_run AND h.successors IS NOT NULL
    ), missing AS MATERIALIZED (
        -- One that was collected of several has been handed over by each of them.
        SELECT a.id, min(a.parent) AS parent, min(a.stage) AS stage, jsonb_agg(a.documents) AS documents FROM handed a
         WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.id = a.id AND j.status IN ('todo', 'doing'))
           AND NOT EXISTS (SELECT 1 FROM oaflow.hops e WHERE e.run = p_run AND e.job = a.id
                              AND e.outcome IN ('done', 'failed', 'diverted', 'parted', 'collected', 'answered', 'cancelled',
                                                'vanished'))
           AND NOT EXISTS (SELECT 1 FROM oaflow.collected w WHERE w.id = a.id)
         GROUP BY a.id
    ), lost AS MATERIALIZED (
        SELECT m.* FROM missing m
         WHERE (SELECT j.status IN ('succeeded', 'failed', 'aborted')
                       AND j.args #> '{payload,context,oaflow,external}' IS NOT NULL
                       AND j.args #>> '{payload,context,oaflow,job}' = j.id::text
                  FROM procrastinate_jobs j WHERE j.id = m.id) IS NOT TRUE
            OR NOT EXISTS (SELECT FROM oaflow.runs r WHERE r.id = p_run AND r.state IN ('running', 'paused', 'interrupted'))
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, parent, outcome, documents)
        SELECT p_run, stage, id, parent, 'vanished',
               nullif(ARRAY(SELECT DISTINCT d #>> '{}' FROM jsonb_path_query(documents, '$[*][*]') AS d), '{}')
          FROM lost
    ), settled AS (
        DELETE FROM oaflow.charges k USING lost WHERE k.job = lost.id
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open, vanished)
        SELECT p_run, stage, 0, -count(*), count(*) FROM lost GROUP BY stage ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open, vanished = k.vanished + excluded.vanished
    )
    SELECT count(*) INTO n FROM lost;
    RETURN n;
END $$;

-- What a run has seen that was open beside this one, or came after it, is not gone: who is late with what comes of the end of
-- a run (its follower, or a retry) took out what the next run had just found.
CREATE OR REPLACE FUNCTION oaflow.gone_v1(p_run text) RETURNS TABLE (document text, name text, is_folder boolean)
LANGUAGE sql STABLE AS $$
    SELECT c.document, c.name, c.content_hash IS NULL
      FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
     WHERE r.id = p_run AND c.seen <> p_run
       AND NOT EXISTS (SELECT FROM oaflow.runs o
                        WHERE o.id = c.seen AND (o.finished_at IS NULL OR o.finished_at >= r.created_at))
       AND EXISTS (SELECT FROM unnest(r.covered) AS s (path)
                    WHERE c.path = s.path OR substr(c.path, 1, length(s.path) + 1) = s.path || '/'::bytea)
       AND NOT EXISTS (SELECT FROM unnest(r.shut) AS s (path)
                        WHERE c.path = s.path OR substr(c.path, 1, length(s.path) + 1) = s.path || '/'::bytea)
$$;

-- Of earlier runs, as it says: what a later one had found already was taken out as well.
CREATE OR REPLACE FUNCTION oaflow.lost_children_v1(p_run text, p_documents text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    WITH RECURSIVE below (document) AS (
        SELECT DISTINCT d.document FROM unnest(p_documents) AS u (document)
          JOIN oaflow.documents d ON d.parent = u.document
          JOIN oaflow.runs r ON r.id = d.run JOIN oaflow.runs me ON me.id = p_run
         WHERE r.dataset = me.dataset AND r.pipeline = me.pipeline AND r.created_at <= me.created_at
        UNION
        SELECT d.document FROM below JOIN oaflow.documents d ON d.parent = below.document
          JOIN oaflow.runs r ON r.id = d.run JOIN oaflow.runs me ON me.id = p_run
         WHERE r.dataset = me.dataset AND r.pipeline = me.pipeline AND r.created_at <= me.created_at
    )
    SELECT below.document FROM below
     WHERE NOT EXISTS (SELECT FROM oaflow.documents n WHERE n.run = p_run AND n.document = below.document)
$$;

-- Takes out a worker that has let go of its jobs. One under which a job still runs was not told of it (the answer to its claim
-- was lost, or was not waited for): it counts as dead from now on, and recovery takes the job back. A plain job of a worker
-- without a row is nobody's, for ever. Locked first, as there.
CREATE FUNCTION oaflow.unregister_v1(p_worker bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM procrastinate_workers w WHERE w.id = p_worker FOR UPDATE;
    IF EXISTS (SELECT FROM procrastinate_jobs j WHERE j.worker_id = p_worker AND j.status = 'doing') THEN
        UPDATE oaflow.workers SET async_tasks = '{}' WHERE id = p_worker;
        UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 day' WHERE id = p_worker;
    ELSE
        DELETE FROM oaflow.workers WHERE id = p_worker;
        DELETE FROM procrastinate_workers WHERE id = p_worker;
    END IF;
END $$;
