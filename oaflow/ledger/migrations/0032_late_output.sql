-- What services hand over while nobody takes it down (capture was taken away, or its trigger failed): rows that carry the
-- mark of a run and are none of its jobs. The sweeper hears them as the triggers would have, and so does capture when it
-- comes back.

-- Whether a job of a service that carries no number is one that oaflow handed to it: it stands where the plan of its run
-- has the stage. What services hand over copies the mark, and goes elsewhere.
CREATE FUNCTION oaflow.is_asked_v1(p_run text, p_stage text, p_queue text, p_task text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT s.planned ->> 'queue' = p_queue AND s.planned ->> 'task' = p_task
                       FROM oaflow.runs r JOIN oaflow.plans p ON p.digest = r.plan
                      CROSS JOIN LATERAL (SELECT p.definition #> ARRAY['stages', p_stage] AS planned) s
                      WHERE r.id = p_run), true)
$$;

-- In which attempt of a job a row was handed over: NULL where the job was not being worked on. procrastinate's events tell;
-- where there are none (our own server keeps none, and others prune them), p_unknown.
CREATE FUNCTION oaflow.attempt_of_v1(p_job bigint, p_row bigint, p_last integer, p_unknown integer) RETURNS integer
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT CASE WHEN entered.id IS NULL OR before.type IS NULL THEN p_unknown
                WHEN before.type = 'started'
                THEN p_last - (SELECT count(*) FROM procrastinate_events v
                                WHERE v.job_id = p_job AND v.id > entered.id
                                  AND v.type::text IN ('deferred_for_retry', 'retried'))::integer
           END
      FROM (SELECT min(v.id) AS id FROM procrastinate_events v
             WHERE v.job_id = p_row AND v.type::text = 'deferred') entered
      LEFT JOIN LATERAL (
        SELECT v.type::text FROM procrastinate_events v
         WHERE v.job_id = p_job AND v.id < entered.id
           AND v.type::text IN ('deferred', 'started', 'deferred_for_retry', 'retried', 'succeeded', 'failed', 'aborted')
         ORDER BY v.id DESC LIMIT 1) before ON true
$$;

-- Hears what jobs of a run have handed over and nobody took down. Each such row goes, and what it says stands in
-- oaflow.emitted, or is on its way where its job streams: in one transaction, so that it is never both or neither.
--
-- A row that somebody has claimed meanwhile is his. Of a job that has answered nothing is taken: what comes now is of a
-- service that ran it again, and goes where it would without oaflow. Of attempts before the last one nothing is taken, as
-- ever, and of a job that was not being worked on. How many rows were taken out.
CREATE FUNCTION oaflow.hear_rest_v1(p_run text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE s record; k record; o record; n integer := 0; last integer; unknown integer; said integer;
BEGIN
    FOR s IN
        SELECT m.mark ->> 'job' AS job, array_agg(j.id) AS ids
          FROM procrastinate_jobs j
         CROSS JOIN LATERAL (SELECT j.args #> '{payload,context,oaflow}' AS mark OFFSET 0) m
         WHERE j.status = 'todo' AND m.mark ->> 'run' = p_run AND m.mark ->> 'external' IS NOT NULL
           AND m.mark ->> 'job' ~ '^[0-9]{1,18}$' AND m.mark ->> 'job' <> j.id::text
         GROUP BY 1
    LOOP
        -- Locked, so that it neither ends nor goes back meanwhile. One that is on its way to do so is heard next time.
        SELECT j.id, j.args, j.priority, j.attempts, j.status::text INTO k FROM procrastinate_jobs j
         WHERE j.id = s.job::bigint AND j.status <> 'cancelled' AND j.args #>> '{payload,context,oaflow,run}' = p_run
           AND j.args #>> '{payload,context,oaflow,job}' = s.job FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        CONTINUE WHEN EXISTS (SELECT FROM oaflow.hops h
                               WHERE h.run = p_run AND h.job = k.id
                                 AND h.outcome IN ('answered', 'cancelled', 'vanished'));
        last := CASE WHEN k.status IN ('todo', 'doing') THEN k.attempts ELSE greatest(k.attempts, 1) - 1 END;
        unknown := CASE WHEN k.status = 'todo' THEN last - 1 ELSE last END;
        FOR o IN
            SELECT j.id, j.args FROM procrastinate_jobs j
             WHERE j.id = ANY (s.ids) AND j.status = 'todo' ORDER BY j.id FOR UPDATE SKIP LOCKED
        LOOP
            said := oaflow.attempt_of_v1(k.id, o.id, last, unknown);
            DELETE FROM procrastinate_jobs j WHERE j.id = o.id;
            n := n + 1;
            IF k.args #>> '{payload,context,oaflow,external}' <> 'stream' THEN
                CONTINUE WHEN said IS NULL OR said < last OR k.status = 'todo';
            ELSE
                CONTINUE WHEN said IS NULL;
                IF NOT EXISTS (SELECT FROM oaflow.emitted e
                                WHERE e.job = k.id AND md5(e.args::text) = md5(o.args::text) AND e.attempt < said) THEN
                    PERFORM oaflow.put_answer_v1(k.id, k.args, k.priority, said, 'chunk', jsonb_build_array(o.args), NULL);
                    INSERT INTO oaflow.counters AS c (run, stage, shard, open)
                    VALUES (p_run, k.args #>> '{payload,context,oaflow,stage}', 0, 1)
                    ON CONFLICT (run, stage, shard) DO UPDATE SET open = c.open + excluded.open;
                END IF;
            END IF;
            INSERT INTO oaflow.emitted (id, job, attempt, args) VALUES (o.id, k.id, said, o.args);
        END LOOP;
    END LOOP;
    RETURN n;
END $$;

-- What capture does first when it comes, with procrastinate's table locked: it hears what was handed over without it, and
-- gives jobs that wait for their service the number that they are to carry. One that is being worked on is past that.
CREATE FUNCTION oaflow.capture_begins_v1() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    FOR r IN SELECT u.id FROM oaflow.runs u WHERE u.state IN ('running', 'paused', 'interrupted') ORDER BY u.id LOOP
        PERFORM oaflow.hear_rest_v1(r);
        UPDATE procrastinate_jobs j SET args = jsonb_set(j.args, '{payload,context,oaflow,job}', to_jsonb(j.id))
         WHERE j.status = 'todo' AND j.args #>> '{payload,context,oaflow,run}' = r
           AND j.args #> '{payload,context,oaflow,external}' IS NOT NULL
           AND j.args #> '{payload,context,oaflow,job}' IS NULL
           AND j.id IN (SELECT unnest(h.successors) FROM oaflow.hops h WHERE h.run = r AND h.successors IS NOT NULL);
    END LOOP;
END $$;

-- As it was; of what earlier attempts had said before capture was taken away, nothing goes out: nobody took it back.
CREATE OR REPLACE FUNCTION oaflow.answer_v1(
    p_job bigint, p_args jsonb, p_priority integer, p_attempts integer, p_error jsonb
) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    mark jsonb := p_args #> '{payload,context,oaflow}';
    emit text := mark ->> 'external';
    returned jsonb := '[]';
    made bigint;
BEGIN
    IF emit IS NULL
       OR NOT EXISTS (SELECT FROM oaflow.runs r WHERE r.id = mark ->> 'run')
       OR EXISTS (SELECT FROM oaflow.hops h
                   WHERE h.run = mark ->> 'run' AND h.job = p_job
                     AND h.outcome IN ('answered', 'cancelled', 'vanished')) THEN
        PERFORM oaflow.unsay_v1(p_job);
        RETURN false;
    END IF;
    IF emit = 'always' OR (p_error IS NULL AND emit = 'success') THEN
        SELECT coalesce(jsonb_agg(e.args ORDER BY e.id), '[]') INTO returned FROM oaflow.emitted e
         WHERE e.job = p_job AND e.attempt >= p_attempts - 1;
    END IF;
    made := oaflow.put_answer_v1(p_job, p_args, p_priority, p_attempts, 'answered', returned, p_error);
    UPDATE oaflow.collected k SET job = made WHERE k.job = p_job;
    PERFORM oaflow.unsay_v1(p_job);
    RETURN true;
END $$;

-- As it was; what such jobs have handed over and nobody took down is heard first. They have ended by then, so all of it
-- is there.
CREATE OR REPLACE FUNCTION oaflow.answer_rest_v1(p_run text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE j record; ended bigint[] := '{}'; n integer := 0;
BEGIN
    FOR j IN
        SELECT k.id FROM (
            SELECT DISTINCT s.id FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) AS s (id)
             WHERE h.run = p_run AND h.successors IS NOT NULL) handed
          JOIN procrastinate_jobs k ON k.id = handed.id
         WHERE k.status IN ('succeeded', 'failed', 'aborted')
           AND k.args #> '{payload,context,oaflow,external}' IS NOT NULL
           AND k.args #>> '{payload,context,oaflow,job}' = k.id::text
           AND NOT EXISTS (SELECT FROM oaflow.hops e WHERE e.run = p_run AND e.job = k.id
                              AND e.outcome IN ('answered', 'cancelled', 'vanished'))
         ORDER BY k.id FOR NO KEY UPDATE OF k SKIP LOCKED
    LOOP
        ended := ended || j.id;
    END LOOP;
    IF ended = '{}' THEN RETURN 0; END IF;
    PERFORM oaflow.hear_rest_v1(p_run);
    FOR j IN
        SELECT k.id, k.args, k.priority, k.attempts, k.status::text FROM procrastinate_jobs k
         WHERE k.id = ANY (ended) ORDER BY k.id
    LOOP
        n := n + oaflow.answer_v1(j.id, j.args, j.priority, greatest(j.attempts, 1),
                                  CASE WHEN j.status <> 'succeeded' THEN '{}'::jsonb END)::int;
    END LOOP;
    RETURN n;
END $$;

-- As it was; what services handed over is no open job of the run, and where such rows wait they are heard.
CREATE OR REPLACE FUNCTION oaflow.sweep_v1(p_rows boolean) RETURNS TABLE (run text, event text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE r record; answer text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.sweep')) THEN RETURN; END IF;
    IF p_rows THEN
        FOR r IN
            SELECT o.id, o.open > coalesce(l.live, 0) AS fewer, coalesce(l.unheard, false) AS unheard FROM (
                SELECT u.id, (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) AS open
                  FROM oaflow.runs u WHERE u.state IN ('running', 'paused', 'interrupted')) o
              LEFT JOIN (
                SELECT u.run, sum(u.n) FILTER (WHERE u.kind = 'job') AS live, bool_or(u.kind = 'output') AS unheard FROM (
                    -- One without a number waits for a service, or came from one whose job had none.
                    SELECT g.run, g.n, CASE WHEN g.kind <> 'unnumbered' THEN g.kind
                                            WHEN oaflow.is_asked_v1(g.run, g.stage, g.queue, g.task) THEN 'job'
                                            ELSE 'foreign' END AS kind
                      FROM (
                        SELECT m.mark ->> 'run' AS run, c.kind, count(*) AS n,
                               CASE c.kind WHEN 'unnumbered' THEN m.mark ->> 'stage' END AS stage,
                               CASE c.kind WHEN 'unnumbered' THEN j.queue_name END AS queue,
                               CASE c.kind WHEN 'unnumbered' THEN j.task_name END AS task
                          FROM procrastinate_jobs j
                         CROSS JOIN LATERAL (SELECT j.args #> '{payload,context,oaflow}' AS mark OFFSET 0) m
                         CROSS JOIN LATERAL (
                            SELECT CASE WHEN m.mark ->> 'external' IS NULL OR m.mark ->> 'job' = j.id::text THEN 'job'
                                        WHEN m.mark ->> 'job' IS NULL THEN 'unnumbered'
                                        WHEN j.status = 'todo' THEN 'output'
                                        ELSE 'foreign' END AS kind OFFSET 0) c
                         WHERE j.status IN ('todo', 'doing')
                         GROUP BY 1, 2, 4, 5, 6) g
                    UNION ALL SELECT w.run, 1, 'job' FROM oaflow.collected w WHERE w.job IS NULL) u
                 GROUP BY 1) l ON l.run = o.id
             WHERE o.open > coalesce(l.live, 0) OR l.unheard
        LOOP
            IF r.unheard THEN PERFORM oaflow.hear_rest_v1(r.id); END IF;
            CONTINUE WHEN NOT r.fewer;
            PERFORM oaflow.answer_rest_v1(r.id);
            IF oaflow.vanish_v1(r.id) > 0 THEN run := r.id; event := 'vanished'; RETURN NEXT; END IF;
        END LOOP;
        -- What was given back to a run after it was cancelled: nobody claims it.
        FOR r IN
            SELECT u.id FROM oaflow.runs u
             WHERE u.state = 'cancelled' AND u.finished_at > now() - interval '1 day'
               AND (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) > 0
        LOOP
            IF oaflow.cancel_v1(r.id, NULL) > 0 THEN run := r.id; event := 'cancelled'; RETURN NEXT; END IF;
        END LOOP;
    END IF;
    FOR r IN
        SELECT u.id FROM oaflow.runs u
         WHERE u.sealed AND u.state IN ('running', 'paused', 'interrupted')
           AND ((SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) = 0
                OR EXISTS (SELECT 1 FROM oaflow.joins j WHERE j.run = u.id AND j.fired < u.round))
            OR EXISTS (SELECT 1 FROM oaflow.collects k WHERE k.run = u.id AND u.state IN ('running', 'paused', 'interrupted'))
    LOOP
        answer := oaflow.close_v1(r.id);
        IF answer IS NOT NULL THEN run := r.id; event := answer; RETURN NEXT; END IF;
    END LOOP;
END $$;

-- As it was; what services handed over is taken out too, and does not count: it is no open job of the run.
CREATE OR REPLACE FUNCTION oaflow.cancel_v1(p_run text, p_reason text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    UPDATE oaflow.runs SET state = 'cancelled', reason = p_reason, finished_at = clock_timestamp()
     WHERE id = p_run AND state IN ('running', 'paused', 'interrupted');
    WITH planned AS MATERIALIZED (
        SELECT p.definition -> 'stages' AS stages FROM oaflow.runs r JOIN oaflow.plans p ON p.digest = r.plan
         WHERE r.id = p_run
    ), waiting AS MATERIALIZED (
        SELECT j.id, j.args #> '{payload,context,oaflow}' AS mark, j.queue_name, j.task_name FROM procrastinate_jobs j
         WHERE j.status = 'todo' AND j.args #>> '{payload,context,oaflow,run}' = p_run
         ORDER BY j.id FOR UPDATE OF j
    ), stopped AS (
        UPDATE procrastinate_jobs j SET status = 'cancelled' FROM waiting w WHERE j.id = w.id
    ), uncollected AS (
        DELETE FROM oaflow.collected c WHERE c.run = p_run AND c.job IS NULL RETURNING c.id, c.stage
    ), ended AS MATERIALIZED (
        SELECT w.id, w.mark ->> 'stage' AS stage FROM waiting w
         CROSS JOIN LATERAL (SELECT planned.stages -> (w.mark ->> 'stage') AS stage FROM planned) p
         WHERE w.mark ->> 'external' IS NULL OR w.mark ->> 'job' = w.id::text
            OR (w.mark ->> 'job' IS NULL AND coalesce(
                p.stage ->> 'queue' = w.queue_name AND p.stage ->> 'task' = w.task_name, true))
        UNION ALL SELECT id, stage FROM uncollected
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, outcome) SELECT p_run, stage, id, 'cancelled' FROM ended
    ), settled AS (
        DELETE FROM oaflow.charges k USING waiting w WHERE k.job = w.id
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        SELECT p_run, stage, 0, -count(*) FROM ended GROUP BY stage ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open
    )
    SELECT count(*) INTO n FROM ended;
    PERFORM pg_notify('oaflow', json_build_object('event', 'run.cancelled', 'run', p_run)::text);
    RETURN n;
END $$;
