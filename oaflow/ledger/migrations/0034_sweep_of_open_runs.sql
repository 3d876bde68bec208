-- Every heartbeat sends a sweep: it reads the runs that are open, by their index, and of the cancelled ones those of the
-- last day, however many have ended. What is given back to a cancelled run is taken out by cancel_rest_v1 alone.
CREATE INDEX runs_cancelled ON oaflow.runs (finished_at) WHERE state = 'cancelled';

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
    END IF;
    FOR r IN
        SELECT u.id FROM oaflow.runs u
         WHERE u.state IN ('running', 'paused', 'interrupted')
           AND (u.sealed AND (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) = 0
                OR u.sealed AND EXISTS (SELECT FROM oaflow.joins j WHERE j.run = u.id AND j.fired < u.round)
                OR EXISTS (SELECT FROM oaflow.collects k WHERE k.run = u.id))
    LOOP
        answer := oaflow.close_v1(r.id);
        IF answer IS NOT NULL THEN run := r.id; event := answer; RETURN NEXT; END IF;
    END LOOP;
END $$;
