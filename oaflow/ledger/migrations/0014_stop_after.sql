-- After how much a run is given up (`oaflow run --stop-after N|P%`): so many failures, or so many percent of the documents
-- found, once its `sources`, the stages that its first jobs went to, have no more to give. NULL: never.
ALTER TABLE oaflow.runs
    ADD COLUMN stop_after bigint CHECK (stop_after > 0),
    ADD COLUMN stop_percent double precision CHECK (stop_percent > 0),
    ADD COLUMN sources text[] NOT NULL DEFAULT '{}';

-- Cancels the runs of which too much has failed, or only the one of p_run; answers which. What is sent again in a later
-- round has failed before, and counts no more.
CREATE FUNCTION oaflow.stop_v1(p_run text) RETURNS SETOF text
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
        PERFORM oaflow.cancel_v1(r.id, format('stopped after %s failure%s (--stop-after %s)', r.failed,
                                              CASE WHEN r.failed = 1 THEN '' ELSE 's' END, r.most));
        RETURN NEXT r.id;
    END LOOP;
END $$;
