-- The life of a run.

-- Makes one job of the given waiting ones, which are of one stage and key: the entities of all, in order, and the rest as
-- in the first of them. How many they are stands in its mark.
CREATE FUNCTION oaflow.put_together_v1(
    p_run text, p_stage text, p_queue text, p_task text, p_priority integer, p_ids bigint[]
) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE made bigint := nextval('procrastinate_jobs_id_seq');
BEGIN
    WITH member AS MATERIALIZED (
        SELECT w.* FROM oaflow.collected w WHERE w.id = ANY (p_ids) ORDER BY w.id
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
        SELECT made, p_queue, p_task, p_priority,
               jsonb_set(
                   jsonb_set(f.args, '{payload,entities}', (
                       SELECT jsonb_agg(e.entity ORDER BY m.id, e.ord) FROM member m
                        CROSS JOIN LATERAL jsonb_array_elements(m.args #> '{payload,entities}')
                              WITH ORDINALITY AS e (entity, ord))),
                   '{payload,context,oaflow}',
                   (f.args #> '{payload,context,oaflow}') - 'parent'
                       || jsonb_build_object('collected', cardinality(p_ids)))
          FROM member f WHERE f.id = p_ids[1]
    ), held AS (
        UPDATE oaflow.collected w SET job = made WHERE w.id = ANY (p_ids)
    ), hop AS (
        INSERT INTO oaflow.hops (run, stage, job, outcome, successors, detail)
        SELECT p_run, p_stage, m.id, 'collected', ARRAY[made],
               jsonb_build_object('handed', jsonb_build_array(jsonb_build_array(p_stage, m.documents)))
          FROM member m
    )
    INSERT INTO oaflow.counters AS k (run, stage, shard, open) VALUES (p_run, p_stage, 0, 1 - cardinality(p_ids))
    ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open;
END $$;

-- Puts waiting jobs of one stage and key together into one: as many as fill it; fewer where the oldest has waited long
-- enough, or nothing more can come, as nothing is open in what feeds the stage. What waits for itself, in a cycle, counts
-- as not open. To be called under the lock of the run; answers how many jobs it made.
CREATE FUNCTION oaflow.gather_v1(p_run text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    c record; m record; made integer := 0; last boolean;
    ids bigint[]; entities integer; since timestamptz; at_key text;
BEGIN
    FOR c IN
        SELECT k.*, r.sealed, r.round FROM oaflow.collects k JOIN oaflow.runs r ON r.id = k.run
         WHERE k.run = p_run AND r.state IN ('running', 'paused', 'interrupted')
           AND EXISTS (SELECT 1 FROM oaflow.collected w WHERE w.run = p_run AND w.stage = k.stage AND w.job IS NULL)
         ORDER BY k.stage
    LOOP
        -- Before the members are read: once nothing is open, all that came of it is there to be seen.
        SELECT c.sealed AND o.open - o.own = 0 AND NOT EXISTS (
                   SELECT 1 FROM oaflow.joins b
                    WHERE b.run = p_run AND b.stage = ANY (c.feeders) AND b.fired < c.round)
          INTO last
          FROM (SELECT (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k
                         WHERE k.run = p_run AND k.stage = ANY (c.feeders)) AS open,
                       (SELECT count(*) FROM oaflow.collected w
                         WHERE w.run = p_run AND w.stage = c.stage AND w.job IS NULL
                           AND c.stage = ANY (c.feeders)) AS own) o;
        ids := '{}'; entities := 0; at_key := NULL;
        FOR m IN
            SELECT w.id, w.key, w.entities, w.arrived FROM oaflow.collected w
             WHERE w.run = p_run AND w.stage = c.stage AND w.job IS NULL ORDER BY w.key, w.id
        LOOP
            IF m.key IS DISTINCT FROM at_key THEN
                IF at_key IS NOT NULL AND (last OR since < now() - make_interval(secs => c.wait)) THEN
                    PERFORM oaflow.put_together_v1(p_run, c.stage, c.queue, c.task, c.priority, ids); made := made + 1;
                END IF;
                at_key := m.key; ids := '{}'; entities := 0; since := m.arrived;
            ELSIF entities + m.entities > c.size THEN
                PERFORM oaflow.put_together_v1(p_run, c.stage, c.queue, c.task, c.priority, ids); made := made + 1;
                ids := '{}'; entities := 0; since := m.arrived;
            END IF;
            ids := ids || m.id; entities := entities + m.entities; since := least(since, m.arrived);
            IF entities >= c.size THEN
                PERFORM oaflow.put_together_v1(p_run, c.stage, c.queue, c.task, c.priority, ids); made := made + 1;
                at_key := NULL;
            END IF;
        END LOOP;
        IF at_key IS NOT NULL AND (last OR since < now() - make_interval(secs => c.wait)) THEN
            PERFORM oaflow.put_together_v1(p_run, c.stage, c.queue, c.task, c.priority, ids); made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Fires the joins of a run whose stages are quiet: the source is sealed, nothing is open in what a join waits for, and no
-- join that it waits for has still to fire in this round. To be called under the lock of the run; answers how many fired.
-- The job says in its context which round it is, and how many jobs have failed.
CREATE FUNCTION oaflow.fire_v1(p_run text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT nextval('procrastinate_jobs_id_seq') AS id, o.* FROM (
            SELECT j.stage, j.queue, j.task, j.priority, r.round,
                   jsonb_set(j.args, '{payload,context,run}', jsonb_build_object(
                       'id', p_run, 'round', r.round,
                       'failed', (SELECT coalesce(sum(k.failed), 0) FROM oaflow.counters k WHERE k.run = p_run)
                   )) AS args
              FROM oaflow.joins j JOIN oaflow.runs r ON r.id = j.run
             WHERE j.run = p_run AND j.fired < r.round AND r.sealed AND r.state IN ('running', 'paused', 'interrupted')
               AND NOT EXISTS (SELECT 1 FROM oaflow.joins b
                                WHERE b.run = p_run AND b.stage = ANY (j.waits) AND b.fired < r.round)
               AND (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k
                     WHERE k.run = p_run AND k.stage = ANY (j.waits)) = 0
             ORDER BY j.stage) o
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
        SELECT id, queue, task, priority, args FROM due ORDER BY id
    ), marked AS (
        UPDATE oaflow.joins j SET fired = due.round FROM due WHERE j.run = p_run AND j.stage = due.stage
    ), hop AS (
        INSERT INTO oaflow.hops (run, outcome, successors, detail)
        SELECT p_run, 'joined', array_agg(id ORDER BY id),
               jsonb_build_object('handed', jsonb_agg(jsonb_build_array(stage, '[]'::jsonb) ORDER BY id))
          FROM due HAVING count(*) > 0
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        SELECT p_run, stage, 0, 1 FROM due ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open
    )
    SELECT count(*) INTO n FROM due;
    RETURN n;
END $$;

-- Puts together what has waited, fires joins, and ends runs that are quiet: source sealed, nothing open. Called after the
-- commit of a hand-over (two finishing transactions do not see each other, so inside them it would be missed), and by the
-- sweeper.
-- Every hand-over moves all of a job's counters in one transaction, so at no snapshot does a run with work sum to 0.
CREATE FUNCTION oaflow.close_v1(p_run text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE left_open bigint; lost bigint; answer text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    IF oaflow.gather_v1(p_run) > 0 THEN RETURN 'gathered'; END IF;
    IF oaflow.fire_v1(p_run) > 0 THEN RETURN 'joined'; END IF;
    SELECT coalesce(sum(open), 0), coalesce(sum(vanished), 0) INTO left_open, lost
      FROM oaflow.counters WHERE run = p_run;
    IF left_open = 0 THEN
        UPDATE oaflow.runs SET state = CASE WHEN lost > 0 THEN 'incomplete' ELSE 'finished' END, finished_at = clock_timestamp()
         WHERE id = p_run AND sealed AND state IN ('running', 'paused', 'interrupted') RETURNING state INTO answer;
        IF FOUND THEN
            PERFORM pg_notify('oaflow', json_build_object('event', 'run.ended', 'run', p_run)::text);
        END IF;
    END IF;
    RETURN answer;
END $$;

-- Finds by name the open jobs of a run that are gone: handed over in some hop, ended in none, and no row left that waits
-- or runs (it was deleted, or somebody else cancelled it).
-- One statement, so that hops, counters and rows are of one snapshot.
CREATE FUNCTION oaflow.vanish_v1(p_run text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    WITH handed AS MATERIALIZED (
        SELECT s.id, h.job AS parent, h.detail -> 'handed' -> (s.ord::int - 1) ->> 0 AS stage,
               h.detail -> 'handed' -> (s.ord::int - 1) -> 1 AS documents
          FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (id, ord)
         WHERE h.run = p_run AND h.successors IS NOT NULL
    ), lost AS MATERIALIZED (
        -- One that was collected of several has been handed over by each of them.
        SELECT a.id, min(a.parent) AS parent, min(a.stage) AS stage, jsonb_agg(a.documents) AS documents FROM handed a
         WHERE NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.id = a.id AND j.status IN ('todo', 'doing'))
           AND NOT EXISTS (SELECT 1 FROM oaflow.hops e WHERE e.run = p_run AND e.job = a.id
                              AND e.outcome IN ('done', 'failed', 'diverted', 'parted', 'collected', 'answered', 'cancelled',
                                                'vanished'))
           AND NOT EXISTS (SELECT 1 FROM oaflow.collected w WHERE w.id = a.id)
         GROUP BY a.id
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

-- What a kill left in between: runs that are quiet and not ended; and, where p_rows, runs with fewer live rows than
-- open jobs (that reads all live rows once, so it is asked for less often). Answers the runs that it touched.
CREATE FUNCTION oaflow.sweep_v1(p_rows boolean) RETURNS TABLE (run text, event text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE r record; answer text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.sweep')) THEN RETURN; END IF;
    IF p_rows THEN
        FOR r IN
            SELECT o.id FROM (
                SELECT u.id, (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) AS open
                  FROM oaflow.runs u WHERE u.state IN ('running', 'paused', 'interrupted')) o
              LEFT JOIN (
                SELECT u.run, count(*) AS live FROM (
                    SELECT j.args #>> '{payload,context,oaflow,run}' AS run FROM procrastinate_jobs j
                     WHERE j.status IN ('todo', 'doing')
                    UNION ALL SELECT w.run FROM oaflow.collected w WHERE w.job IS NULL) u
                 GROUP BY 1) l ON l.run = o.id
             WHERE o.open > coalesce(l.live, 0)
        LOOP
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

-- Inserts first jobs of a run. p_args is a jsonb array beside the others; the stamp is already in it. One with p_collects,
-- as in complete_v1, waits to be put together with others, which is done with what there is when no more will come.
CREATE FUNCTION oaflow.enter_v1(
    p_run text, p_queues text[], p_tasks text[], p_stages text[], p_priorities integer[], p_args jsonb, p_documents jsonb,
    p_seal boolean, p_collects text[] DEFAULT '{}'
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    WITH first AS MATERIALIZED (
        SELECT nextval('procrastinate_jobs_id_seq') AS id, u.* FROM ROWS FROM (
            unnest(p_queues), unnest(p_tasks), unnest(p_stages), unnest(p_priorities), jsonb_array_elements(p_args),
            jsonb_array_elements(p_documents), unnest(p_collects)
        ) WITH ORDINALITY AS u (queue, task, stage, priority, args, documents, collect, ord)
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
        SELECT id, queue, task, priority, args FROM first WHERE collect IS NULL ORDER BY ord
    ), waits AS (
        INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args)
        SELECT id, p_run, stage, collect::jsonb ->> 0, jsonb_array_length(args #> '{payload,entities}'),
               collect::jsonb -> 1, args
          FROM first WHERE collect IS NOT NULL ORDER BY ord
    ), hop AS (
        INSERT INTO oaflow.hops (run, outcome, successors, detail)
        SELECT p_run, 'root', array_agg(id ORDER BY ord),
               jsonb_build_object('handed', jsonb_agg(jsonb_build_array(stage, documents) ORDER BY ord))
          FROM first HAVING count(*) > 0
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        SELECT p_run, stage, 0, count(*) FROM first GROUP BY stage ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open
    )
    SELECT count(*) INTO n FROM first;
    IF p_seal THEN UPDATE oaflow.runs SET sealed = true WHERE id = p_run; END IF;
    PERFORM oaflow.gather_v1(p_run);
    PERFORM pg_notify('oaflow', json_build_object('event', 'run.entered', 'run', p_run)::text);
    RETURN n;
END $$;

-- Opens a new round: jobs under failures run again from the beginning of their attempts. Only those of p_jobs, or all.
-- Its hop names in `reopened`, beside the successors, the jobs that failed.
CREATE FUNCTION oaflow.reopen_v1(p_run text, p_jobs bigint[]) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    IF NOT oaflow.admit_v1((SELECT r.dataset FROM oaflow.runs r WHERE r.id = p_run)) THEN RETURN 0; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    WITH again AS MATERIALIZED (
        SELECT nextval('procrastinate_jobs_id_seq') AS id, o.* FROM (
            SELECT f.id AS failure, f.job, f.queue, f.task, f.stage, f.priority, f.documents,
                   -- it is a job like any other from now on
                   f.args #- '{payload,context,oaflow,collected}' #- '{payload,context,oaflow,parted}' AS args
              FROM oaflow.failures f
             WHERE f.run = p_run AND f.resolved_at IS NULL AND f.args IS NOT NULL AND f.queue IS NOT NULL
               AND (p_jobs IS NULL OR f.job = ANY (p_jobs))
             ORDER BY f.id) o
    ), ins AS (
        -- attempts 1: of attempt 0 it is known that nobody has begun the job before
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args, attempts)
        SELECT id, queue, task, priority, args, 1 FROM again ORDER BY id
    ), resolved AS (
        UPDATE oaflow.failures f SET resolved_at = now() FROM again WHERE f.id = again.failure
    ), moved AS (
        UPDATE oaflow.chunks k SET job = again.id FROM again WHERE k.job = again.job
    ), hop AS (
        INSERT INTO oaflow.hops (run, outcome, successors, detail)
        SELECT p_run, 'reopened', array_agg(id ORDER BY id),
               jsonb_build_object('handed', jsonb_agg(jsonb_build_array(stage, to_jsonb(documents)) ORDER BY id),
                                  'reopened', jsonb_agg(job ORDER BY id))
          FROM again HAVING count(*) > 0
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open, failed)
        SELECT p_run, stage, 0, count(*), -count(*) FROM again GROUP BY stage ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open, failed = k.failed + excluded.failed
    )
    SELECT count(*) INTO n FROM again;
    IF n > 0 THEN
        UPDATE oaflow.runs SET state = 'running', round = round + 1, finished_at = NULL, reason = NULL, settled = false
         WHERE id = p_run;
        PERFORM pg_notify('oaflow', json_build_object('event', 'run.entered', 'run', p_run)::text);
    END IF;
    RETURN n;
END $$;

-- Cancels a run: what waits is taken out at once; workers drop the results of what still runs.
-- Called again by workers that still meet a job of it, until nothing is open.
CREATE FUNCTION oaflow.cancel_v1(p_run text, p_reason text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    UPDATE oaflow.runs SET state = 'cancelled', reason = p_reason, finished_at = clock_timestamp()
     WHERE id = p_run AND state IN ('running', 'paused', 'interrupted');
    WITH waiting AS MATERIALIZED (
        SELECT j.id, j.args #>> '{payload,context,oaflow,stage}' AS stage FROM procrastinate_jobs j
         WHERE j.status = 'todo' AND j.args #>> '{payload,context,oaflow,run}' = p_run
         ORDER BY j.id FOR UPDATE OF j
    ), stopped AS (
        UPDATE procrastinate_jobs j SET status = 'cancelled' FROM waiting w WHERE j.id = w.id
    ), uncollected AS (
        DELETE FROM oaflow.collected c WHERE c.run = p_run AND c.job IS NULL RETURNING c.id, c.stage
    ), ended AS MATERIALIZED (
        SELECT id, stage FROM waiting UNION ALL SELECT id, stage FROM uncollected
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
