-- What the end of a run records for the next one, in parts: some files at a time, each part a transaction of its own.

-- The files of a run of which it is not recorded that all that came of them has ended well, by document, each with the jobs
-- that it was sent on with: `crawl` sent it, at `stage` and with the code `version` (NULL: begun at a later stage), and
-- `shared` says that the job is of other files, too.
-- Without jit, which a server that is not ours may have on: what is estimated here is so far off that it would compile all of
-- it, also where a run has sent nothing on.
CREATE FUNCTION oaflow.unmarked_v1(p_run text) RETURNS TABLE (document text, entered jsonb)
LANGUAGE plpgsql SET jit = off AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
                    WHERE r.id = p_run AND c.ran = p_run AND c.content_hash IS NOT NULL AND c.done IS NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH file AS MATERIALIZED (
        SELECT c.document, c.redo IS NULL AS whole, c.done IS NULL AS unmarked FROM oaflow.crawled c
          JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
         WHERE r.id = p_run AND c.ran = p_run AND c.content_hash IS NOT NULL
    ), sent AS MATERIALIZED (
        SELECT file.document, file.unmarked, v.job, h.job AS crawl FROM oaflow.hops h
         CROSS JOIN LATERAL ROWS FROM (unnest(h.successors), jsonb_array_elements(h.detail -> 'handed')) AS v (job, handed)
         CROSS JOIN LATERAL jsonb_array_elements_text(v.handed -> 1) AS d (document)
          JOIN file ON file.document = d.document
         WHERE h.run = p_run AND h.job IS NOT NULL AND h.outcome IN ('chunk', 'done') AND file.whole
           AND NOT (d.document = ANY (coalesce(h.documents, '{}')))
        UNION ALL
        SELECT file.document, file.unmarked, v.job, NULL FROM oaflow.hops h
         CROSS JOIN LATERAL ROWS FROM (unnest(h.successors), jsonb_array_elements(h.detail -> 'files')) AS v (job, files)
         CROSS JOIN LATERAL jsonb_array_elements_text(v.files) AS d (document)
          JOIN file ON file.document = d.document
         WHERE h.run = p_run AND h.detail ? 'files' AND NOT file.whole
    ), crawl AS MATERIALIZED (
        SELECT h.job, max(h.stage) AS stage, max(h.version) FILTER (WHERE h.outcome = 'done') AS version
          FROM (SELECT DISTINCT sent.crawl FROM sent WHERE sent.crawl IS NOT NULL) s
          JOIN oaflow.hops h ON h.run = p_run AND h.job = s.crawl GROUP BY h.job
    ), way AS (
        SELECT s.document, jsonb_agg(jsonb_build_object(
                   'job', s.job, 'crawl', s.crawl, 'stage', crawl.stage, 'version', crawl.version, 'shared', s.shared)) AS jobs
          FROM (SELECT sent.*, min(sent.document) OVER job < max(sent.document) OVER job AS shared FROM sent
                WINDOW job AS (PARTITION BY sent.job)) s
          LEFT JOIN crawl ON crawl.job = s.crawl
         WHERE s.unmarked GROUP BY s.document
    )
    SELECT file.document, coalesce(way.jobs, '[]') FROM file LEFT JOIN way ON way.document = file.document
     WHERE file.unmarked ORDER BY file.document;
END $$;

-- Writes down the ways of some files of a run, as `unmarked_v1` names them, and marks those of which all that came has ended
-- well, with the code that they went through. Such as are marked, or were sent on in a later run since, are left alone.
-- Answers how many it marked.
--
-- From the job that a file was sent on with to all that came of it: what ended is done, was put together with others, taken
-- apart, answered by a service, or failed and was sent again. Whoever sent it on has been through it, too. Where it began
-- at later stages, the rest of its way is that of the runs before.
-- A job is of other files, too, where it was sent on with several, or was put together of more jobs than those of this
-- file, or came of such a one. Of how many it was put together stands in its mark; where that is lost, it counts as shared.
CREATE FUNCTION oaflow.mark_done_v2(p_run text, p_files jsonb) RETURNS bigint
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off AS $$
DECLARE r record; these text[]; n bigint;
BEGIN
    -- Not waited for until it is on the disk: that the end of the run is recorded is committed behind it.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Nothing of a run was before it, but the clock of the server may have been set back: so the days are left out of which
    -- it has no history.
    SELECT u.dataset, u.pipeline, u.created_at - interval '1 day' AS since INTO r FROM oaflow.runs u WHERE u.id = p_run;
    IF NOT FOUND THEN RETURN 0; END IF;
    -- In one order: who does the same at the same time waits, and then finds them marked.
    these := ARRAY(
        SELECT c.document FROM oaflow.crawled c
         WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline
           AND c.document = ANY (ARRAY(SELECT f ->> 'document' FROM jsonb_array_elements(p_files) AS f))
           AND c.ran = p_run AND c.content_hash IS NOT NULL AND c.done IS NULL
         ORDER BY c.document FOR UPDATE);
    WITH RECURSIVE entered AS MATERIALIZED (
        SELECT f.document, e.job, e.crawl, e.stage, e.version, e.shared
          FROM jsonb_to_recordset(p_files) AS f (document text, entered jsonb)
          JOIN unnest(these) AS t (document) ON t.document = f.document
         CROSS JOIN LATERAL jsonb_to_recordset(f.entered)
            AS e (job bigint, crawl bigint, stage text, version text, shared boolean)
    ), replaced AS MATERIALIZED (
        SELECT (v.old #>> '{}')::bigint AS job, v.next FROM oaflow.hops h
         CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(h.detail -> 'reopened'), unnest(h.successors)) AS v (old, next)
         WHERE h.run = p_run AND h.at >= r.since AND h.job IS NULL AND h.outcome = 'reopened'
    ), tree (document, job) AS (
        SELECT entered.document, entered.job FROM entered
        UNION
        SELECT tree.document, s.next FROM tree LEFT JOIN replaced ON replaced.job = tree.job
         CROSS JOIN LATERAL (
            SELECT unnest(h.successors) AS next FROM oaflow.hops h
             WHERE h.run = p_run AND h.at >= r.since AND h.job = tree.job
            UNION ALL SELECT replaced.next WHERE replaced.next IS NOT NULL OFFSET 0) s
    ), hop AS MATERIALIZED (
        SELECT h.* FROM (SELECT DISTINCT tree.job FROM tree) t
         CROSS JOIN LATERAL (
            SELECT h.job, h.stage, h.version, h.outcome, h.documents, h.successors,
                   CASE h.outcome WHEN 'collected' THEN h.detail #> '{handed,0,1}' END AS handed,
                   CASE WHEN h.outcome <> 'collected' THEN (h.detail ->> 'collected')::integer END AS members
              FROM oaflow.hops h WHERE h.run = p_run AND h.at >= r.since AND h.job = t.job OFFSET 0) h
    ), ended AS MATERIALIZED (
        SELECT hop.job, max(hop.stage) AS stage, max(hop.version) FILTER (WHERE hop.outcome = 'done') AS version,
               -- What was put together names its documents where it is handed on.
               max(coalesce(hop.documents, ARRAY(
                    SELECT jsonb_array_elements_text(hop.handed)))) AS documents,
               bool_or(hop.outcome IN ('done', 'collected', 'parted', 'answered')
                       OR (hop.outcome = 'failed' AND hop.job IN (SELECT replaced.job FROM replaced))) AS well,
               max(hop.members) AS members
          FROM hop GROUP BY hop.job
    ), follows AS MATERIALIZED (
        SELECT hop.job, s.next, hop.outcome = 'collected' AS collected
          FROM hop CROSS JOIN LATERAL unnest(hop.successors) AS s (next)
        UNION SELECT replaced.job, replaced.next, false FROM replaced
    ), edge AS MATERIALIZED (
        SELECT tree.document, follows.job, follows.next, follows.collected FROM tree JOIN follows ON follows.job = tree.job
    ), together AS MATERIALIZED (
        SELECT edge.document, edge.next AS job, count(DISTINCT edge.job) AS members
          FROM edge WHERE edge.collected GROUP BY edge.document, edge.next
    ), size AS MATERIALIZED (
        SELECT t.job, coalesce(
                   ended.members,
                   (SELECT (j.args #>> '{payload,context,oaflow,collected}')::integer FROM procrastinate_jobs j
                     WHERE j.id = t.job AND j.args #>> '{payload,context,oaflow,run}' = p_run),
                   (SELECT (f.args #>> '{payload,context,oaflow,collected}')::integer FROM oaflow.failures f
                     WHERE f.job = t.job AND f.run = p_run)) AS members
          FROM (SELECT DISTINCT together.job FROM together) t LEFT JOIN ended USING (job)
    ), shared (document, job) AS (
        (SELECT entered.document, entered.job FROM entered WHERE entered.shared
         UNION ALL
         SELECT together.document, together.job FROM together JOIN size ON size.job = together.job
          WHERE size.members IS NULL OR together.members < size.members)
        UNION
        SELECT edge.document, edge.next FROM shared JOIN edge ON edge.document = shared.document AND edge.job = shared.job
    ), parents AS MATERIALIZED (
        SELECT edge.document, edge.next AS job, array_agg(DISTINCT edge.job) AS parents
          FROM edge GROUP BY edge.document, edge.next
    ), way AS MATERIALIZED (
        SELECT tree.document, tree.job, coalesce(parents.parents, entry.parents, '{}') AS parents, ended.stage, ended.version,
               CASE WHEN shared.job IS NULL THEN coalesce(ended.documents, '{}') END AS documents,
               coalesce(ended.well, false) AS well
          FROM tree LEFT JOIN ended USING (job) LEFT JOIN parents USING (document, job) LEFT JOIN shared USING (document, job)
          LEFT JOIN (SELECT e.document, e.job, array_remove(array_agg(DISTINCT e.crawl), NULL) AS parents
                       FROM entered e GROUP BY e.document, e.job) entry USING (document, job)
        UNION ALL
        SELECT DISTINCT entered.document, entered.crawl, '{}'::bigint[], entered.stage, entered.version, NULL::text[], true
          FROM entered WHERE entered.crawl IS NOT NULL
    ), arrived AS (
        INSERT INTO oaflow.arrived (run, job, args)
        SELECT p_run, j.id, j.args FROM (SELECT DISTINCT way.job FROM way WHERE way.documents IS NOT NULL) alone
         CROSS JOIN LATERAL (SELECT j.id, j.args FROM procrastinate_jobs j WHERE j.id = alone.job OFFSET 0) j
         WHERE j.args #> '{payload,context,oaflow,run}' = to_jsonb(p_run)
        ON CONFLICT DO NOTHING
    )
    INSERT INTO oaflow.steps AS s (dataset, pipeline, document, job, run, parents, stage, version, documents, well)
    SELECT r.dataset, r.pipeline, way.document, way.job, p_run, way.parents, coalesce(way.stage, ''), way.version,
           way.documents, way.well
      FROM way ORDER BY way.document, way.job
    ON CONFLICT (dataset, pipeline, document, job) DO UPDATE
       SET stage = excluded.stage, version = excluded.version, documents = excluded.documents, well = excluded.well,
           parents = CASE WHEN excluded.parents = '{}' THEN s.parents ELSE excluded.parents END;
    DELETE FROM oaflow.steps s USING oaflow.crawled c
     WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = ANY (these) AND c.redo IS NULL
       AND s.dataset = c.dataset AND s.pipeline = c.pipeline AND s.document = c.document AND s.run <> p_run;
    UPDATE oaflow.crawled c SET done = way.code FROM (
        SELECT s.document,
               array_agg(DISTINCT s.stage || '=' || s.version ORDER BY s.stage || '=' || s.version)
                   FILTER (WHERE s.version IS NOT NULL) AS code
          FROM oaflow.steps s
         WHERE s.dataset = r.dataset AND s.pipeline = r.pipeline AND s.document = ANY (these)
         GROUP BY s.document
        -- From the crawl on: of a file that failed before nothing stands before the stage where it began again.
        HAVING bool_and(s.well) AND bool_or(s.parents = '{}')) way
     WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = way.document;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
