-- What crawls have seen: so that the next run of a pipeline over a dataset does what has changed.

-- `force`: all is done anew, whatever is known of it. `prune`: what is gone from the sources is taken out.
-- `stages`: for each stage of the plan a digest of what decides what becomes of a document there.
-- `unchanged`: how many documents were left out; `gone`: how many files were not there any more, and some of their names.
-- `since`: when its crawl began, by the clock of the entity store.
-- `covered`: the sources that its crawl went through to their end, and `shut` what in them could not be looked into.
-- `rerun_of`: the run of which it does a part again.
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
    ADD COLUMN settled    boolean NOT NULL DEFAULT false,
    ADD COLUMN rerun_of   text;

-- The files and folders of a dataset's sources, as the crawls of a pipeline saw them last. `content_hash` NULL: a folder,
-- and `done` is the code that wrote it to the store.
-- `ran` is the run in which it was last sent on, and `again` whether it had been before. `done` NULL: it has not come to
-- its end there; else the code that it went through, each as `stage=version`. `redo` NULL: that run began it at the
-- beginning; else at later stages, and these are the origins under which things are said anew.
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
    redo         text[],
    PRIMARY KEY (dataset, pipeline, document)
);

-- The jobs that a file's way to its end consists of, from that of its crawl on; of several runs, where later ones began in
-- the middle. `parents` are those that it came of, and `documents` those that it carries (NULL: of other files, too);
-- `version` is the code that did it, where it did anything, and `well` says whether it ended so.
CREATE TABLE oaflow.steps (
    dataset   text NOT NULL,
    pipeline  text NOT NULL,
    document  text NOT NULL,
    job       bigint NOT NULL,
    run       text NOT NULL,
    parents   bigint[] NOT NULL,
    stage     text NOT NULL,
    version   text,
    documents text[],
    well      boolean NOT NULL,
    PRIMARY KEY (dataset, pipeline, document, job)
);

-- Jobs with documents as they arrived at their stages, so that a later run can begin there: procrastinate's rows go.
CREATE TABLE oaflow.arrived (
    run  text NOT NULL,
    job  bigint NOT NULL,
    args jsonb NOT NULL,
    at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run, job)
);

-- Writes down what a crawl has seen, and what of it is unchanged; the arrays are parallel. Folders are in the store by now,
-- and p_code is the code that wrote them. To be repeated as often as you like. A run that has ended meanwhile (it was
-- cancelled) changes nothing.
CREATE FUNCTION oaflow.keep_crawled_v1(
    p_run text, p_documents text[], p_paths bytea[], p_names text[], p_hashes text[], p_unchanged boolean[], p_code text[]
) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE r record;
BEGIN
    SELECT u.dataset, u.pipeline INTO r FROM oaflow.runs u
     WHERE u.id = p_run AND u.state IN ('running', 'paused', 'interrupted');
    IF NOT FOUND THEN RETURN; END IF;
    -- Not waited for until it is on the disk: before any of it counts, the jobs that are sent on, or the end of the crawl,
    -- are committed behind it. What is lost with the server the next attempt says again.
    PERFORM set_config('synchronous_commit', 'off', true);
    IF true = ANY (p_unchanged) THEN
        UPDATE oaflow.crawled c SET seen = p_run, name = u.name
          FROM (SELECT u.document, u.name FROM unnest(p_documents, p_names, p_unchanged) AS u (document, name, unchanged)
                 WHERE u.unchanged ORDER BY u.document) u
         WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = u.document;
    END IF;
    IF false = ANY (p_unchanged) THEN
        INSERT INTO oaflow.crawled AS c (dataset, pipeline, document, path, name, content_hash, seen, ran, done)
        SELECT r.dataset, r.pipeline, u.document, u.path, u.name, u.hash, p_run, p_run, CASE WHEN u.hash IS NULL THEN p_code END
          FROM unnest(p_documents, p_paths, p_names, p_hashes, p_unchanged) AS u (document, path, name, hash, unchanged)
         WHERE NOT u.unchanged ORDER BY u.document
        ON CONFLICT (dataset, pipeline, document) DO UPDATE
           SET seen = p_run, path = excluded.path, name = excluded.name, content_hash = excluded.content_hash, ran = p_run,
               again = c.again OR c.ran <> p_run,
               done = CASE WHEN excluded.content_hash IS NULL THEN excluded.done WHEN c.ran = p_run THEN c.done END,
               redo = CASE WHEN c.ran = p_run THEN c.redo END;
    END IF;
    WITH fresh AS (
        INSERT INTO oaflow.documents (run, document, name, kind)
        SELECT p_run, u.document, u.name, 'unchanged'
          FROM unnest(p_documents, p_names, p_hashes, p_unchanged) AS u (document, name, hash, unchanged)
         WHERE u.unchanged AND u.hash IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING 1
    )
    UPDATE oaflow.runs u SET unchanged = u.unchanged + n.new
      FROM (SELECT count(*) AS new FROM fresh) n WHERE u.id = p_run AND n.new > 0;
END $$;

-- Begins files in a run at later stages: with jobs that arrived there once. The arrays of p_files are:
--   document, ran  the file, and the run in which it was last sent on: one that was sent on since is left alone
--   why, redo      why it runs again, and the origins under which things are said anew
--   replaced       the jobs of its way that take place again
--   found          the documents that have jobs; all others of the file but those in left_out are unchanged
-- and of p_jobs: files (whose jobs it is), parents (the jobs of their ways that it came of), and all that first jobs have.
-- In the statement that says so: safe to repeat. Jobs may follow without p_files, in the same transaction. Answers how many
-- jobs it made.
CREATE FUNCTION oaflow.begin_later_v1(p_run text, p_files jsonb, p_jobs jsonb) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE r record; n integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oaflow.run'), hashtext(p_run));
    SELECT u.dataset, u.pipeline INTO r FROM oaflow.runs u
     WHERE u.id = p_run AND u.state IN ('running', 'paused', 'interrupted');
    IF NOT FOUND THEN RETURN 0; END IF;
    WITH RECURSIVE file AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(p_files) AS x (
            document text, ran text, why text, redo text[], replaced bigint[], found text[], left_out text[])
    ), taken AS (
        UPDATE oaflow.crawled c SET ran = p_run, again = true, done = NULL, redo = file.redo FROM file
         WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = file.document AND c.ran = file.ran
        RETURNING file.*
    ), job AS MATERIALIZED (
        SELECT nextval('procrastinate_jobs_id_seq') AS id, x.* FROM ROWS FROM (jsonb_to_recordset(p_jobs) AS (
            files text[], parents bigint[], queue text, task text, stage text, priority integer, args jsonb,
            documents jsonb, collect text
        )) WITH ORDINALITY AS x (files, parents, queue, task, stage, priority, args, documents, collect, ord)
         WHERE p_files = '[]' OR x.files <@ ARRAY(SELECT taken.document FROM taken)
    ), ins AS (
        INSERT INTO procrastinate_jobs (id, queue_name, task_name, priority, args)
        SELECT id, queue, task, priority, args FROM job WHERE collect IS NULL ORDER BY ord
    ), waits AS (
        INSERT INTO oaflow.collected (id, run, stage, key, entities, documents, args)
        SELECT id, p_run, stage, collect::jsonb ->> 0, jsonb_array_length(args #> '{payload,entities}'),
               collect::jsonb -> 1, args
          FROM job WHERE collect IS NOT NULL ORDER BY ord
    ), hop AS (
        INSERT INTO oaflow.hops (run, outcome, successors, detail)
        SELECT p_run, 'root', array_agg(id ORDER BY ord),
               jsonb_build_object('handed', jsonb_agg(jsonb_build_array(stage, documents) ORDER BY ord),
                                  'files', jsonb_agg(to_jsonb(files) ORDER BY ord))
          FROM job HAVING count(*) > 0
    ), cnt AS (
        INSERT INTO oaflow.counters AS k (run, stage, shard, open)
        SELECT p_run, stage, 0, count(*) FROM job GROUP BY stage ORDER BY stage
        ON CONFLICT (run, stage, shard) DO UPDATE SET open = k.open + excluded.open
    ), replaced AS (
        DELETE FROM oaflow.steps s USING taken
         WHERE s.dataset = r.dataset AND s.pipeline = r.pipeline AND s.document = taken.document
           AND s.job = ANY (taken.replaced)
    ), step AS (
        INSERT INTO oaflow.steps (dataset, pipeline, document, job, run, parents, stage, well)
        SELECT r.dataset, r.pipeline, f.document, job.id, p_run, job.parents, job.stage, false
          FROM job CROSS JOIN LATERAL unnest(job.files) AS f (document)
    ), below (file, run, document) AS (
        SELECT taken.document, taken.ran, taken.document FROM taken
        UNION
        SELECT below.file, below.run, d.document FROM below
         CROSS JOIN LATERAL (
            SELECT d.document FROM oaflow.documents d WHERE d.parent = below.document AND d.run = below.run OFFSET 0) d
    ), said AS (
        -- Unreadable is what has a reason and was not skipped: also where it was unchanged meanwhile.
        INSERT INTO oaflow.documents (run, document, name, kind, reason, parent, why)
        SELECT p_run, d.document, d.name,
               CASE WHEN d.kind = 'skipped' THEN 'skipped'
                    WHEN NOT d.document = ANY (taken.found) THEN 'unchanged'
                    WHEN d.reason IS NULL THEN 'found' ELSE 'unreadable' END,
               d.reason, d.parent, CASE WHEN d.document = ANY (taken.found) THEN taken.why END
          FROM below JOIN taken ON taken.document = below.file
         CROSS JOIN LATERAL (
            SELECT * FROM oaflow.documents d WHERE d.run = below.run AND d.document = below.document OFFSET 0) d
         WHERE NOT d.document = ANY (taken.left_out)
        ON CONFLICT DO NOTHING RETURNING kind
    ), counted AS (
        UPDATE oaflow.runs u SET unchanged = u.unchanged + (SELECT count(*) FROM said WHERE said.kind = 'unchanged')
         WHERE u.id = p_run
    )
    SELECT count(*) INTO n FROM job;
    IF n > 0 THEN
        PERFORM oaflow.gather_v1(p_run);
        PERFORM pg_notify('oaflow', json_build_object('event', 'run.entered', 'run', p_run)::text);
    END IF;
    RETURN n;
END $$;

-- Writes down the ways of the files of a run, and marks those of which all that came has ended well, with the code that
-- they went through.
--
-- From the job that a file was sent on with to all that came of it: what ended is done, was put together with others, taken
-- apart, answered by a service, or failed and was sent again. Whoever sent it on has been through it, too. Where it began
-- at later stages, the rest of its way is that of the runs before.
-- Without jit, which a server that is not ours may have on: what is estimated here is so far off that it would compile all of
-- it, also where a run has sent nothing on.
CREATE FUNCTION oaflow.mark_done_v1(p_run text) RETURNS bigint
LANGUAGE plpgsql SET jit = off AS $$
DECLARE n bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
                    WHERE r.id = p_run AND c.ran = p_run AND c.content_hash IS NOT NULL) THEN
        RETURN 0;
    END IF;
    WITH RECURSIVE hop AS MATERIALIZED (
        SELECT h.job, h.stage, h.version, h.outcome, h.documents, h.successors, h.detail -> 'handed' AS handed,
               h.detail -> 'reopened' AS reopened, h.detail -> 'files' AS files
          FROM oaflow.hops h WHERE h.run = p_run
    ), file AS MATERIALIZED (
        SELECT c.dataset, c.pipeline, c.document, c.redo FROM oaflow.crawled c
          JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
         WHERE r.id = p_run AND c.ran = p_run AND c.content_hash IS NOT NULL
    ), replaced AS MATERIALIZED (
        SELECT (v.old #>> '{}')::bigint AS job, v.next FROM hop
         CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(hop.reopened), unnest(hop.successors)) AS v (old, next)
         WHERE hop.outcome = 'reopened'
    ), follows AS MATERIALIZED (
        SELECT hop.job, s.next FROM hop CROSS JOIN LATERAL unnest(hop.successors) AS s (next) WHERE hop.job IS NOT NULL
        UNION SELECT replaced.job, replaced.next FROM replaced
    ), entered AS MATERIALIZED (
        SELECT file.document, v.job, hop.job AS crawl FROM hop
         CROSS JOIN LATERAL ROWS FROM (unnest(hop.successors), jsonb_array_elements(hop.handed)) AS v (job, handed)
         CROSS JOIN LATERAL jsonb_array_elements_text(v.handed -> 1) AS d (document)
          JOIN file ON file.document = d.document
         WHERE hop.job IS NOT NULL AND NOT (d.document = ANY (coalesce(hop.documents, '{}')))
           AND hop.outcome IN ('chunk', 'done') AND file.redo IS NULL
        UNION ALL
        SELECT file.document, v.job, NULL FROM hop
         CROSS JOIN LATERAL ROWS FROM (unnest(hop.successors), jsonb_array_elements(hop.files)) AS v (job, files)
         CROSS JOIN LATERAL jsonb_array_elements_text(v.files) AS d (document)
          JOIN file ON file.document = d.document
         WHERE hop.files IS NOT NULL AND file.redo IS NOT NULL
    ), tree (document, job) AS (
        SELECT entered.document, entered.job FROM entered
        UNION
        SELECT tree.document, follows.next FROM tree JOIN follows ON follows.job = tree.job
    ), ended AS MATERIALIZED (
        SELECT hop.job, max(hop.stage) AS stage, max(hop.version) FILTER (WHERE hop.outcome = 'done') AS version,
               -- What was put together names its documents where it is handed on.
               max(coalesce(hop.documents, ARRAY(
                    SELECT jsonb_array_elements_text(hop.handed -> 0 -> 1) WHERE hop.outcome = 'collected'))) AS documents,
               bool_or(hop.outcome IN ('done', 'collected', 'parted', 'answered')
                       OR (hop.outcome = 'failed' AND hop.job IN (SELECT replaced.job FROM replaced))) AS well
          FROM hop WHERE hop.job IS NOT NULL GROUP BY hop.job
    ), files AS MATERIALIZED (
        SELECT tree.job, count(*) AS files FROM tree GROUP BY tree.job
    ), parents AS MATERIALIZED (
        SELECT tree.document, tree.job, array_agg(follows.job ORDER BY follows.job) AS parents
          FROM tree JOIN follows ON follows.next = tree.job JOIN tree above ON above.document = tree.document
               AND above.job = follows.job
         GROUP BY tree.document, tree.job
    ), way AS MATERIALIZED (
        SELECT tree.document, tree.job, coalesce(parents.parents, entered.parents, '{}') AS parents, ended.stage,
               ended.version, CASE WHEN files.files = 1 THEN coalesce(ended.documents, '{}') END AS documents,
               coalesce(ended.well, false) AS well
          FROM tree JOIN files USING (job) LEFT JOIN ended USING (job) LEFT JOIN parents USING (document, job)
          LEFT JOIN (SELECT e.document, e.job, array_remove(array_agg(DISTINCT e.crawl), NULL) AS parents
                       FROM entered e GROUP BY e.document, e.job) entered USING (document, job)
        UNION ALL
        SELECT DISTINCT entered.document, entered.crawl, '{}'::bigint[], ended.stage, ended.version, NULL::text[], true
          FROM entered JOIN ended ON ended.job = entered.crawl
    )
    INSERT INTO oaflow.steps AS s (dataset, pipeline, document, job, run, parents, stage, version, documents, well)
    SELECT file.dataset, file.pipeline, way.document, way.job, p_run, way.parents, coalesce(way.stage, ''), way.version,
           way.documents, way.well
      FROM way JOIN file USING (document)
    ON CONFLICT (dataset, pipeline, document, job) DO UPDATE
       SET stage = excluded.stage, version = excluded.version, documents = excluded.documents, well = excluded.well,
           parents = CASE WHEN excluded.parents = '{}' THEN s.parents ELSE excluded.parents END;
    DELETE FROM oaflow.steps s USING oaflow.crawled c, oaflow.runs r
     WHERE r.id = p_run AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.ran = p_run AND c.redo IS NULL
       AND s.dataset = c.dataset AND s.pipeline = c.pipeline AND s.document = c.document AND s.run <> p_run;
    INSERT INTO oaflow.arrived (run, job, args)
    SELECT p_run, j.id, j.args FROM (
        SELECT DISTINCT s.job FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
          JOIN oaflow.steps s ON s.dataset = c.dataset AND s.pipeline = c.pipeline AND s.document = c.document
         WHERE r.id = p_run AND c.ran = p_run AND s.run = p_run AND s.documents IS NOT NULL) alone
     CROSS JOIN LATERAL (SELECT j.id, j.args FROM procrastinate_jobs j WHERE j.id = alone.job OFFSET 0) j
     WHERE j.args #> '{payload,context,oaflow,run}' = to_jsonb(p_run)
    ON CONFLICT DO NOTHING;
    UPDATE oaflow.crawled c SET done = way.code FROM oaflow.runs r, (
        SELECT s.dataset, s.pipeline, s.document,
               array_agg(DISTINCT s.stage || '=' || s.version ORDER BY s.stage || '=' || s.version)
                   FILTER (WHERE s.version IS NOT NULL) AS code
          FROM oaflow.runs r JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline
          JOIN oaflow.steps s ON s.dataset = c.dataset AND s.pipeline = c.pipeline AND s.document = c.document
         WHERE r.id = p_run AND c.ran = p_run AND c.content_hash IS NOT NULL AND c.done IS NULL
         GROUP BY 1, 2, 3
        -- From the crawl on: of a file that failed before nothing stands before the stage where it began again.
        HAVING bool_and(s.well) AND bool_or(s.parents = '{}')) way
     WHERE r.id = p_run AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.ran = p_run
       AND way.dataset = c.dataset AND way.pipeline = c.pipeline AND way.document = c.document;
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
