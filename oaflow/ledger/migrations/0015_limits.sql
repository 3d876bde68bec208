-- How many jobs of a task on a queue run at once, and how often one begins: over all workers, runs and pipelines.

-- What the plan of a run says (`concurrency`, `rate`), written when it begins. `every` is the seconds between two beginnings.
CREATE TABLE oaflow.limits (
    run         text NOT NULL REFERENCES oaflow.runs (id) ON DELETE CASCADE,
    queue       text NOT NULL,
    task        text NOT NULL,
    concurrency integer CHECK (concurrency > 0),
    every       double precision CHECK (every > 0),
    PRIMARY KEY (run, queue, task)
);

-- One row for each task of a queue that ever had a limit. Claims of one lane come one after the other: they lock it.
-- `concurrency` and `every` are what an operator said (`oaflow limit`); `due` is when the next job may begin.
CREATE TABLE oaflow.lanes (
    queue       text NOT NULL,
    task        text NOT NULL,
    concurrency integer CHECK (concurrency > 0),
    every       double precision CHECK (every > 0),
    due         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (queue, task)
);

-- Jobs that were begun under a limit. A lease counts as long as the row of its job is 'doing': what gives a job back or ends
-- it, whatever that is, gives back its lease in the same statement, and none can be left behind.
CREATE TABLE oaflow.leases (
    job   bigint PRIMARY KEY,
    queue text NOT NULL,
    task  text NOT NULL
);
CREATE INDEX leases_of_lane ON oaflow.leases (queue, task);

-- The limits that hold now: what an operator said, else the smallest of what the plans of open runs say.
-- Reads no run that has ended.
CREATE VIEW oaflow.limits_now AS
    SELECT n.queue, n.task, coalesce(n.concurrency, p.concurrency) AS concurrency, coalesce(n.every, p.every) AS every,
           n.concurrency AS said_concurrency, n.every AS said_every
      FROM oaflow.lanes n CROSS JOIN LATERAL (
        SELECT min(l.concurrency) AS concurrency, max(l.every) AS every
          FROM oaflow.runs r JOIN LATERAL (
            SELECT l.concurrency, l.every FROM oaflow.limits l
             WHERE l.run = r.id AND l.queue = n.queue AND l.task = n.task OFFSET 0) l ON true
         WHERE r.state IN ('running', 'paused', 'interrupted')) p
     WHERE coalesce(n.concurrency, p.concurrency) IS NOT NULL OR coalesce(n.every, p.every) IS NOT NULL;

-- Makes a lane where there is none, and locks it. What runs already counts from now on.
CREATE FUNCTION oaflow.lane_v1(p_queue text, p_task text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO oaflow.lanes (queue, task) VALUES (p_queue, p_task) ON CONFLICT DO NOTHING;
    PERFORM 1 FROM oaflow.lanes n WHERE n.queue = p_queue AND n.task = p_task FOR UPDATE;
    INSERT INTO oaflow.leases (job, queue, task)
    SELECT j.id, p_queue, p_task FROM procrastinate_jobs j
     WHERE j.status = 'doing' AND j.queue_name = p_queue AND j.task_name = p_task
    ON CONFLICT DO NOTHING;
END $$;

-- Says which limits the plan of a run has; the arrays are parallel.
CREATE FUNCTION oaflow.declare_v1(p_run text, p_queues text[], p_tasks text[], p_concurrency integer[], p_every float8[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- One order for all: two runs that begin never wait for each other.
    PERFORM oaflow.lane_v1(u.queue, u.task)
       FROM (SELECT DISTINCT u.queue, u.task FROM unnest(p_queues, p_tasks) AS u (queue, task) ORDER BY 1, 2) u;
    INSERT INTO oaflow.limits (run, queue, task, concurrency, every)
    SELECT p_run, u.queue, u.task, min(u.concurrency), max(u.every)
      FROM unnest(p_queues, p_tasks, p_concurrency, p_every) AS u (queue, task, concurrency, every) GROUP BY 2, 3;
    PERFORM pg_notify('oaflow', json_build_object('event', 'limits.changed')::text);
END $$;

-- Says what an operator wants of a lane; NULL of one leaves it as it is. p_clear: what the plans say holds again.
CREATE FUNCTION oaflow.limit_v1(p_queue text, p_task text, p_concurrency integer, p_every float8, p_clear boolean)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM oaflow.lane_v1(p_queue, p_task);
    UPDATE oaflow.lanes n
       SET concurrency = CASE WHEN NOT p_clear THEN coalesce(p_concurrency, n.concurrency) END,
           every = CASE WHEN NOT p_clear THEN coalesce(p_every, n.every) END
     WHERE n.queue = p_queue AND n.task = p_task;
    PERFORM pg_notify('oaflow', json_build_object('event', 'limits.changed')::text);
END $$;

-- As fetch_v2, and nothing of what has a limit: a worker that has not heard of it yet must not pass it by.
CREATE FUNCTION oaflow.fetch_v3(p_worker bigint, p_queues text[], p_tasks text[], p_runs text[], p_k integer)
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT 1 FROM oaflow.limits_now) THEN
        SELECT coalesce(array_agg(u.queue), '{}'), coalesce(array_agg(u.task), '{}'), coalesce(array_agg(u.run), '{}')
          INTO p_queues, p_tasks, p_runs
          FROM unnest(p_queues, p_tasks, p_runs) AS u (queue, task, run)
         WHERE NOT EXISTS (SELECT 1 FROM oaflow.limits_now h WHERE h.queue = u.queue AND h.task = u.task);
    END IF;
    RETURN QUERY SELECT * FROM oaflow.fetch_v2(p_worker, p_queues, p_tasks, p_runs, p_k);
END $$;

-- Claims up to p_k jobs of one task on a queue, as fetch_v2 does, and no more than its limits allow; where p_after is not
-- NULL, also such as have a lock (`take_locked_v1`). The last row has no job: its `again` is in how many seconds it is
-- worth to ask again, NULL where neither limit nor lock stands in the way, or nothing waits.
--
-- The rate is the generic cell rate algorithm: a job may begin at `due`, and moves it by `every`. What could have begun
-- in the last p_late seconds is made up for, so that nobody needs to ask at the very moment; what could have begun
-- before that is lost. Only the clock of the database counts. A place that becomes free elsewhere, or a lock, is looked
-- for every p_look seconds.
CREATE FUNCTION oaflow.fetch_lane_v1(
    p_worker bigint, p_queue text, p_task text, p_runs text[], p_k integer, p_late float8, p_look float8, p_after text)
RETURNS TABLE (id bigint, queue text, task text, priority integer, args jsonb, attempts integer,
               retries integer, crashes integer, suspect boolean, lock text, again float8)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_concurrency integer;
    v_every float8;
    v_due timestamptz;
    v_now timestamptz;
    v_most integer := p_k;
    v_again float8;
    v_held boolean := false;
    v_locked boolean := p_after IS NOT NULL AND random() < 0.5;  -- whether what has a lock goes first: each has its turn
    v_taken bigint[] := '{}';
BEGIN
    -- Each statement below sees what was committed before it began: so the lock comes first, and alone.
    PERFORM 1 FROM oaflow.lanes n WHERE n.queue = p_queue AND n.task = p_task FOR UPDATE;
    SELECT h.concurrency, h.every INTO v_concurrency, v_every
      FROM oaflow.limits_now h WHERE h.queue = p_queue AND h.task = p_task;
    IF v_concurrency IS NOT NULL THEN
        DELETE FROM oaflow.leases s
         WHERE s.queue = p_queue AND s.task = p_task
           AND (SELECT j.status::text FROM procrastinate_jobs j WHERE j.id = s.job) IS DISTINCT FROM 'doing';
        v_most := least(p_k, v_concurrency
                             - (SELECT count(*) FROM oaflow.leases s WHERE s.queue = p_queue AND s.task = p_task)::int);
        v_again := CASE WHEN v_most < p_k THEN p_look END;
    END IF;
    IF v_every IS NOT NULL THEN
        v_now := clock_timestamp();
        -- Later than one interval from now it is by another rate, of before.
        SELECT CASE WHEN n.due > v_now + make_interval(secs => v_every) THEN v_now
                    ELSE greatest(n.due, v_now - make_interval(secs => p_late)) END
          INTO v_due FROM oaflow.lanes n WHERE n.queue = p_queue AND n.task = p_task;
        IF floor(extract(epoch FROM v_now - v_due) / v_every) + 1 < v_most THEN
            v_most := greatest(floor(extract(epoch FROM v_now - v_due) / v_every) + 1, 0);
            v_again := extract(epoch FROM v_due - v_now) + v_most * v_every;
        END IF;
    END IF;
    IF v_most > 0 THEN
        FOR turn IN 1..CASE WHEN p_after IS NULL THEN 1 ELSE 2 END LOOP
            FOR id, queue, task, priority, args, attempts, retries, crashes, suspect, lock IN
                SELECT f.*, NULL FROM oaflow.fetch_v2(
                    p_worker, array_fill(p_queue, ARRAY[cardinality(p_runs)]), array_fill(p_task, ARRAY[cardinality(p_runs)]),
                    p_runs, v_most - cardinality(v_taken)) f
                 WHERE NOT v_locked
                 UNION ALL
                SELECT f.* FROM oaflow.take_locked_v1(
                    p_worker, p_queue, p_task, p_runs, v_most - cardinality(v_taken), p_after) f
                 WHERE v_locked
            LOOP
                IF id IS NULL THEN
                    v_held := true;
                ELSE
                    RETURN NEXT;
                    v_taken := v_taken || id;
                END IF;
            END LOOP;
            v_locked := NOT v_locked;
        END LOOP;
        IF v_concurrency IS NOT NULL THEN
            INSERT INTO oaflow.leases (job, queue, task)
            SELECT u.job, p_queue, p_task FROM unnest(v_taken) AS u (job) ON CONFLICT DO NOTHING;
        END IF;
        IF v_every IS NOT NULL AND v_taken <> '{}' THEN
            UPDATE oaflow.lanes n SET due = v_due + make_interval(secs => cardinality(v_taken) * v_every)
             WHERE n.queue = p_queue AND n.task = p_task;
        END IF;
        IF cardinality(v_taken) < v_most THEN v_again := CASE WHEN v_held THEN p_look END; END IF;
    ELSIF NOT EXISTS (
        SELECT 1 FROM unnest(p_runs) AS u (run) CROSS JOIN LATERAL (
            SELECT 1 FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
               AND j.queue_name = p_queue AND j.task_name = p_task
               AND j.args #>> '{payload,context,oaflow,run}' = u.run
             UNION ALL
            SELECT 1 FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at <= now()
               AND j.queue_name = p_queue AND j.task_name = p_task
               AND j.args #>> '{payload,context,oaflow,run}' = u.run
             UNION ALL
            SELECT 1 FROM procrastinate_jobs j
             WHERE p_after IS NOT NULL AND j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at IS NULL
               AND j.queue_name = p_queue AND j.task_name = p_task
               AND j.args #>> '{payload,context,oaflow,run}' = u.run
             UNION ALL
            SELECT 1 FROM procrastinate_jobs j
             WHERE p_after IS NOT NULL AND j.status = 'todo' AND j.lock IS NOT NULL AND j.scheduled_at <= now()
               AND j.queue_name = p_queue AND j.task_name = p_task
               AND j.args #>> '{payload,context,oaflow,run}' = u.run LIMIT 1) x)
    THEN v_again := NULL;
    END IF;
    SELECT v_again INTO again;
    id := NULL; lock := NULL;
    RETURN NEXT;
END $$;
