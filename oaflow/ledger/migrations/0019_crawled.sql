-- What crawls have seen: so that the next run of a pipeline over a dataset does what has changed.

-- `force`: all is done anew, whatever is known of it. `prune`: what is gone from the sources is taken out.
-- `stages`: for each stage of the plan a digest of what decides what becomes of a document there.
-- `unchanged`: how many documents were left out; `gone`: how many files were not there any more, and some of their names.
-- `since`: when its crawl began, by the clock of the entity store.
-- `covered`: the sources that its crawl went through to their end, and `shut` what in them could not be looked into.
-- `settled`: what came of its end is done: which documents came to theirs, and what they no longer say is taken out.
ALTER TABLE oaflow.runs
    ADD COLUMN force      boolean NOT NULL DEFAULT false,
    ADD COLUMN prune      boolean NOT NULL DEFAULT false,
    ADD COLUMN stages     jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN unchanged  bigint NOT NULL DEFAULT 0,
    ADD COLUMN gone       bigint NOT NULL DEFAULT 0,
    ADD COLUMN gone_names text[] NOT NULL DEFAULT '{}',
    ADD COLUMN since      timestamp,
    ADD COLUMN covered    bytea[],
    ADD COLUMN shut       bytea[],
    ADD COLUMN settled    boolean NOT NULL DEFAULT false;

-- The files and folders of a dataset's sources, as the crawls of a pipeline saw them last. `content_hash` NULL: a folder.
-- `ran` is the run in which it was last sent on, and `again` whether it had been before. `done` NULL: it has not come to
-- its end there; else the code that it went through, each as `stage=version`.
CREATE TABLE oaflow.crawled (
    dataset      text NOT NULL,
    pipeline     text NOT NULL,
    document     text NOT NULL,
    path         bytea NOT NULL,
    name         text NOT NULL,
    content_hash text,
    seen         text NOT NULL,
    ran          text,
    again        boolean NOT NULL DEFAULT false,
    done         text[],
    PRIMARY KEY (dataset, pipeline, document)
);

-- Writes down what a crawl has seen, and what of it is unchanged; the arrays are parallel. To be repeated as often as you
-- like. A run that has ended meanwhile (it was cancelled) changes nothing.
CREATE FUNCTION oaflow.keep_crawled_v1(
    p_run text, p_documents text[], p_paths bytea[], p_names text[], p_hashes text[], p_unchanged boolean[]
) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE r record;
BEGIN
    SELECT u.dataset, u.pipeline INTO r FROM oaflow.runs u
     WHERE u.id = p_run AND u.state IN ('running', 'paused', 'interrupted');
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO oaflow.crawled AS c (dataset, pipeline, document, path, name, content_hash, seen, ran)
    SELECT r.dataset, r.pipeline, u.document, u.path, u.name, u.hash, p_run, p_run
      FROM unnest(p_documents, p_paths, p_names, p_hashes, p_unchanged) AS u (document, path, name, hash, unchanged)
     ORDER BY u.document
    ON CONFLICT (dataset, pipeline, document) DO UPDATE
       SET seen = p_run, path = excluded.path, name = excluded.name, content_hash = excluded.content_hash,
           (ran, again, done) = (
               SELECT CASE WHEN u.unchanged THEN c.ran ELSE p_run END,
                      CASE WHEN u.unchanged OR c.ran = p_run THEN c.again ELSE true END,
                      CASE WHEN u.unchanged OR c.ran = p_run THEN c.done END
                 FROM unnest(p_documents, p_unchanged) AS u (document, unchanged) WHERE u.document = c.document);
    WITH fresh AS (
        INSERT INTO oaflow.documents (run, document, name, kind)
        SELECT p_run, u.document, u.name, 'unchanged'
          FROM unnest(p_documents, p_names, p_unchanged) AS u (document, name, unchanged) WHERE u.unchanged
        ON CONFLICT DO NOTHING RETURNING 1
    )
    UPDATE oaflow.runs u SET unchanged = u.unchanged + n.new
      FROM (SELECT count(*) AS new FROM fresh) n WHERE u.id = p_run AND n.new > 0;
END $$;

-- Marks the files of a run of which all that came has ended well, with the code that they went through.
--
-- From the job that a file was sent on with to all that came of it: what ended is done, was put together with others, taken
-- apart, answered by a service, or failed and was sent again. Whoever sent it on has been through it, too.
CREATE FUNCTION oaflow.mark_done_v1(p_run text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    WITH RECURSIVE hop AS MATERIALIZED (
        SELECT h.job, h.stage, h.version, h.outcome, h.documents, h.successors, h.detail -> 'handed' AS handed,
               h.detail -> 'reopened' AS reopened
          FROM oaflow.hops h WHERE h.run = p_run
    ), file AS MATERIALIZED (
        SELECT c.document FROM oaflow.crawled c JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
         WHERE r.id = p_run AND c.ran = p_run AND c.done IS NULL AND c.content_hash IS NOT NULL
    ), replaced AS MATERIALIZED (
        SELECT (v.old #>> '{}')::bigint AS job, v.next FROM hop
         CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(hop.reopened), unnest(hop.successors)) AS v (old, next)
         WHERE hop.outcome = 'reopened'
    ), follows AS MATERIALIZED (
        SELECT hop.job, s.next FROM hop CROSS JOIN LATERAL unnest(hop.successors) AS s (next) WHERE hop.job IS NOT NULL
        UNION ALL SELECT replaced.job, replaced.next FROM replaced
    ), entered AS MATERIALIZED (
        SELECT file.document, v.job, hop.stage || '=' || coalesce(hop.version, '') AS code FROM hop
         CROSS JOIN LATERAL ROWS FROM (unnest(hop.successors), jsonb_array_elements(hop.handed)) AS v (job, handed)
         CROSS JOIN LATERAL jsonb_array_elements_text(v.handed -> 1) AS d (document)
          JOIN file ON file.document = d.document
         WHERE hop.job IS NOT NULL AND NOT (d.document = ANY (coalesce(hop.documents, '{}')))
           AND hop.outcome IN ('chunk', 'done')
    ), tree (document, job) AS (
        SELECT entered.document, entered.job FROM entered
        UNION
        SELECT tree.document, follows.next FROM tree JOIN follows ON follows.job = tree.job
    ), ended AS MATERIALIZED (
        SELECT hop.job, array_agg(DISTINCT hop.stage || '=' || coalesce(hop.version, '')) FILTER (WHERE hop.outcome = 'done')
                   AS code
          FROM hop WHERE hop.job IS NOT NULL
         GROUP BY hop.job
        HAVING bool_or(hop.outcome IN ('done', 'collected', 'parted', 'answered')
                       OR (hop.outcome = 'failed' AND hop.job IN (SELECT replaced.job FROM replaced)))
    ), well AS MATERIALIZED (
        SELECT tree.document FROM tree LEFT JOIN ended USING (job) GROUP BY tree.document HAVING bool_and(ended.job IS NOT NULL)
    ), code AS (
        SELECT u.document, array_agg(DISTINCT u.code ORDER BY u.code) AS code
          FROM (SELECT tree.document, e.code FROM tree JOIN ended USING (job) CROSS JOIN LATERAL unnest(ended.code) AS e (code)
                UNION ALL SELECT entered.document, entered.code FROM entered) u
         GROUP BY u.document
    )
    UPDATE oaflow.crawled c SET done = code.code
      FROM well JOIN code USING (document), oaflow.runs r
     WHERE r.id = p_run AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = well.document AND c.ran = p_run;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- What earlier runs of the same pipeline found in some documents, and in what they found there, and this run did not.
CREATE FUNCTION oaflow.lost_children_v1(p_run text, p_documents text[]) RETURNS SETOF text
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    WITH RECURSIVE below (document) AS (
        SELECT DISTINCT d.document FROM unnest(p_documents) AS u (document)
          JOIN oaflow.documents d ON d.parent = u.document
          JOIN oaflow.runs r ON r.id = d.run JOIN oaflow.runs me ON me.id = p_run
         WHERE r.dataset = me.dataset AND r.pipeline = me.pipeline
        UNION
        SELECT d.document FROM below JOIN oaflow.documents d ON d.parent = below.document
          JOIN oaflow.runs r ON r.id = d.run JOIN oaflow.runs me ON me.id = p_run
         WHERE r.dataset = me.dataset AND r.pipeline = me.pipeline
    )
    SELECT below.document FROM below
     WHERE NOT EXISTS (SELECT FROM oaflow.documents n WHERE n.run = p_run AND n.document = below.document)
$$;

-- What a whole crawl of its sources did not see any more; of what could not be looked into nothing is known.
CREATE FUNCTION oaflow.gone_v1(p_run text) RETURNS TABLE (document text, name text, is_folder boolean)
LANGUAGE sql STABLE AS $$
    SELECT c.document, c.name, c.content_hash IS NULL
      FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
     WHERE r.id = p_run AND c.seen <> p_run
       AND EXISTS (SELECT FROM unnest(r.covered) AS s (path)
                    WHERE c.path = s.path OR substr(c.path, 1, length(s.path) + 1) = s.path || '/'::bytea)
       AND NOT EXISTS (SELECT FROM unnest(r.shut) AS s (path)
                        WHERE c.path = s.path OR substr(c.path, 1, length(s.path) + 1) = s.path || '/'::bytea)
$$;
