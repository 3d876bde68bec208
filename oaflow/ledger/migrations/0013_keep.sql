-- Runs that ended before, of which nothing can be sent again, and that have joins or stages that collect.
CREATE FUNCTION oaflow.forgotten_runs_v1(p_before timestamptz) RETURNS TABLE (run text)
LANGUAGE sql STABLE AS $$
    SELECT u.id FROM oaflow.runs u
     WHERE u.finished_at < p_before AND u.state NOT IN ('running', 'paused', 'interrupted')
       AND NOT EXISTS (SELECT FROM oaflow.failures f
                        WHERE f.run = u.id AND f.resolved_at IS NULL AND f.args IS NOT NULL)
       AND (EXISTS (SELECT FROM oaflow.joins j WHERE j.run = u.id)
            OR EXISTS (SELECT FROM oaflow.collects k WHERE k.run = u.id))
$$;

-- History is kept so many days; here is what takes out what is older, in portions.
--
-- The partition of a day goes as a whole, where all of the day is too old and no run that has not ended has rows in it: it
-- may go on tomorrow, and what vanished is found from its history. Of the default partition rows go, so many at a time.
-- One portion a call, so that each is a transaction of its own: dropping a partition keeps hand-overs out while it is
-- waited for, and that is no longer than the timeout. Answers the table that it took from; NULL: there is nothing (more),
-- or it was in use, or another worker is at it.
CREATE FUNCTION oaflow.forget_v1(p_days integer, p_rows integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz := now() - make_interval(days => p_days);
    part text;
    wanted boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.partitions')) THEN RETURN NULL; END IF;
    SET LOCAL lock_timeout = '200ms';
    -- What joins and stages that collect need goes with the rest, unless the run can go on: where nothing of it can be sent
    -- again, nothing of it will ever wait for anything.
    DELETE FROM oaflow.joins j USING oaflow.forgotten_runs_v1(before) r WHERE j.run = r.run;
    DELETE FROM oaflow.collects k USING oaflow.forgotten_runs_v1(before) r WHERE k.run = r.run;
    DELETE FROM oaflow.arrived a WHERE a.at < before;
    DELETE FROM oaflow.worked d WHERE d.started_at < before
       AND NOT EXISTS (SELECT FROM oaflow.workers w WHERE w.id = d.id);
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'oaflow.hops'::regclass AND c.relname ~ '^hops_[0-9]{8}$'
           AND right(c.relname, 8) < to_char(before AT TIME ZONE 'UTC', 'YYYYMMDD') ORDER BY c.relname
    LOOP
        EXECUTE format($q$
            SELECT EXISTS (SELECT FROM oaflow.runs r WHERE r.state IN ('running', 'paused', 'interrupted')
                              AND EXISTS (SELECT FROM oaflow.%I h WHERE h.run = r.id)) $q$, part) INTO wanted;
        CONTINUE WHEN wanted;
        EXECUTE format('DROP TABLE oaflow.%I', part);
        RETURN part;
    END LOOP;
    DELETE FROM oaflow.hops_default h WHERE h.ctid = ANY (ARRAY(
        SELECT o.ctid FROM oaflow.hops_default o
         WHERE o.at < before AND NOT EXISTS (
               SELECT FROM oaflow.runs r WHERE r.id = o.run AND r.state IN ('running', 'paused', 'interrupted'))
         LIMIT p_rows));
    RETURN CASE WHEN FOUND THEN 'hops_default' END;
EXCEPTION WHEN lock_not_available THEN RETURN NULL;  -- the next hour will do
END $$;

-- Takes out rows of procrastinate_jobs that have ended, of oaflow's own jobs only, whose end stands in the history since
-- before p_before. By portions of p_rows ids after p_after, so that each is read once, and each is a transaction of its own.
-- As they arrived, those with documents are kept, but for what was put together: what it was made of is.
-- Answers the last id that was looked at (NULL: there is nothing behind p_after) and how many rows were, or are to be,
-- taken out.
CREATE FUNCTION oaflow.prune_v1(p_after bigint, p_rows integer, p_before timestamptz, p_dry boolean,
                                OUT last bigint, OUT pruned integer)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    WITH part AS MATERIALIZED (
        SELECT j.id, j.status, j.task_name, j.args #>> '{payload,context,oaflow,run}' AS run, j.args
          FROM procrastinate_jobs j WHERE j.id > p_after ORDER BY j.id LIMIT p_rows
    ), old AS MATERIALIZED (
        SELECT part.id, part.run, part.args FROM part
         WHERE part.status IN ('succeeded', 'failed', 'cancelled', 'aborted') AND part.run IS NOT NULL
           AND (part.task_name = 'oaflow.captured'  -- what a service entered, and is taken down elsewhere
                OR EXISTS (SELECT 1 FROM oaflow.hops h WHERE h.run = part.run AND h.job = part.id AND h.at < p_before
                              AND h.outcome IN ('done', 'failed', 'diverted', 'parted', 'answered', 'cancelled',
                                                'vanished')))
    ), kept AS (
        INSERT INTO oaflow.arrived (run, job, args)
        SELECT old.run, old.id, old.args FROM old
         WHERE NOT p_dry AND NOT old.args #> '{payload,context,oaflow}' ?| '{collected,external}'
           AND EXISTS (SELECT FROM oaflow.hops h WHERE h.run = old.run AND h.job = old.id AND h.documents IS NOT NULL)
        ON CONFLICT DO NOTHING
    ), gone AS (
        DELETE FROM procrastinate_jobs j WHERE NOT p_dry AND j.id = ANY (ARRAY(SELECT old.id FROM old))
    )
    SELECT (SELECT max(part.id) FROM part), (SELECT count(*) FROM old) INTO last, pruned;
END $$;
