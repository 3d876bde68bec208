-- Jobs that have a lock, procrastinate's: of those with the same one, one at a time is 'doing', whatever stage, run or
-- program it is of. That is what procrastinate's unique index holds.

-- Claims up to p_k jobs of a task on a queue that have a lock: the next of each lock that is free. Locks are gone through
-- from the one behind p_after on, so that each has its turn. Where a lock is held, the last row has no job.
--
-- From lock to lock by the index, not from job to job: thousands may wait behind one that is held. A retry that is
-- scheduled for later holds nothing. Two claims take turns at a lock, none waits for the other: whoever comes second
-- leaves it alone. (Waiting for the unique index instead, two that go through locks from different ones on would wait
-- in a circle.)
CREATE FUNCTION oaflow.take_locked_v1(
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
                 WHERE j.id = (
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
                     ORDER BY x.priority DESC, x.id LIMIT 1)
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

-- Gives back a job that was claimed and not begun, with a lock that it came without: who made it could not tell (it was
-- put together, taken apart, or sent again).
CREATE FUNCTION oaflow.lock_v1(p_worker bigint, p_id bigint, p_lock text) RETURNS void
LANGUAGE sql AS $$
    UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, abort_requested = false, lock = p_lock,
                                 queueing_lock = NULL
     WHERE id = p_id AND status::text = 'doing' AND worker_id = p_worker AND lock IS NULL
$$;
