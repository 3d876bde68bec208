-- What becomes of a run that is cancelled: its documents in the account, what comes back to it, what it leaves behind.

-- The account of a run's documents, as receipt_v1. What `cancel` took out before it came to its end is dropped:
-- `cancelled` says so.
CREATE FUNCTION oaflow.receipt_v2(p_run text, p_index text[])
RETURNS TABLE (document text, name text, kind text, line text, reason text, cancelled boolean)
LANGUAGE sql STABLE AS $$
    WITH stopped AS MATERIALIZED (
        SELECT h.job, h.stage FROM oaflow.hops h WHERE h.run = p_run AND h.outcome = 'cancelled'
    ), cut AS MATERIALIZED (
        -- What waited had no attempt that would name its documents: its parent did, when it handed it over.
        SELECT v #>> '{}' AS document, min(stopped.stage) AS stage
          FROM oaflow.hops h CROSS JOIN LATERAL unnest(h.successors) WITH ORDINALITY AS s (job, ord)
          JOIN stopped ON stopped.job = s.job
         CROSS JOIN LATERAL jsonb_path_query(h.detail -> 'handed' -> (s.ord::int - 1) -> 1, '$[*]') AS v
         WHERE h.run = p_run GROUP BY 1
    )
    SELECT d.document, d.name, d.kind, CASE WHEN is_cut THEN 'dropped' ELSE d.line END,
           CASE WHEN is_cut THEN 'cancelled before ' || cut.stage || ' was done' ELSE d.reason END, is_cut
      FROM oaflow.receipt_v1(p_run, p_index) d LEFT JOIN cut USING (document)
     CROSS JOIN LATERAL (
        SELECT cut.document IS NOT NULL AND (d.line IS NULL OR d.line IN ('dropped', 'skipped')) AS is_cut) c
$$;

-- Takes out what came back to runs after they were cancelled, or was handed over by a worker that had not heard of it:
-- nobody claims that. Also counts what somebody deleted. Answers the runs that it touched.
CREATE FUNCTION oaflow.cancel_rest_v1() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    FOR r IN
        SELECT u.id FROM oaflow.runs u
         WHERE u.state = 'cancelled' AND u.finished_at > now() - interval '1 day'
           AND (SELECT coalesce(sum(k.open), 0) FROM oaflow.counters k WHERE k.run = u.id) > 0
         ORDER BY u.id
    LOOP
        IF oaflow.cancel_v1(r, NULL) + oaflow.vanish_v1(r) > 0 THEN RETURN NEXT r; END IF;
    END LOOP;
END $$;

-- Takes out parts of streams whose job has ended and is not to be run again. From job to job by the index, not from part to
-- part: a stream that goes on may have thousands of them.
CREATE FUNCTION oaflow.sweep_chunks_v1() RETURNS void
LANGUAGE sql SET enable_seqscan = off AS $$
    WITH RECURSIVE of AS (
        (SELECT k.job FROM oaflow.chunks k ORDER BY k.job LIMIT 1)
        UNION ALL
        SELECT (SELECT k.job FROM oaflow.chunks k WHERE k.job > of.job ORDER BY k.job LIMIT 1) FROM of
         WHERE of.job IS NOT NULL
    )
    DELETE FROM oaflow.chunks k WHERE k.job = ANY (ARRAY(
        SELECT of.job FROM of
         WHERE of.job IS NOT NULL
           AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.id = of.job AND j.status::text IN ('todo', 'doing'))
           AND NOT EXISTS (SELECT FROM oaflow.failures f WHERE f.job = of.job AND f.resolved_at IS NULL)))
$$;

-- Takes out what jobs that have ended were put together of. From job to job as well; what waits to be put together, however
-- much that is, is not read.
CREATE FUNCTION oaflow.sweep_collected_v1() RETURNS void
LANGUAGE sql SET enable_seqscan = off AS $$
    WITH RECURSIVE of AS (
        (SELECT k.job FROM oaflow.collected k WHERE k.job IS NOT NULL ORDER BY k.job LIMIT 1)
        UNION ALL
        SELECT (SELECT k.job FROM oaflow.collected k
                 WHERE k.job IS NOT NULL AND k.job > of.job ORDER BY k.job LIMIT 1) FROM of
         WHERE of.job IS NOT NULL
    )
    DELETE FROM oaflow.collected k WHERE k.job IS NOT NULL AND k.job = ANY (ARRAY(
        SELECT of.job FROM of
         WHERE of.job IS NOT NULL
           AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.id = of.job AND j.status::text IN ('todo', 'doing'))))
$$;

-- As sweep_v1, and gives up runs of which too much has failed, also where nobody follows them: in one statement, since a
-- worker with nothing to do sends hardly any other. Where p_rows, also parts of streams that nobody will ask for again: their
-- job is at its end, and did not fail (what failed may be sent again, and skips them then).
CREATE FUNCTION oaflow.sweep_v2(p_rows boolean) RETURNS TABLE (run text, event text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oaflow.sweep')) THEN RETURN; END IF;
    RETURN QUERY SELECT s.run, s.event FROM oaflow.sweep_v1(p_rows) s;
    RETURN QUERY SELECT s, 'cancelled' FROM oaflow.stop_v1(NULL) s;
    IF p_rows THEN
        RETURN QUERY SELECT c, 'cancelled' FROM oaflow.cancel_rest_v1() c;
        PERFORM oaflow.sweep_collected_v1();
        PERFORM oaflow.sweep_chunks_v1();
        PERFORM oaflow.unsay_rest_v1();
    END IF;
END $$;
