-- How many bytes a file has: a stage need not write that down. NULL: it was last seen by a program that did not say it.
ALTER TABLE oaflow.crawled ADD COLUMN size bigint;

-- Writes down what a crawl has seen, and what of it is unchanged; the arrays are parallel. Folders are in the store by now,
-- and p_code is the code that wrote them. To be repeated as often as you like. A run that has ended meanwhile (it was
-- cancelled) changes nothing.
CREATE FUNCTION oaflow.keep_crawled_v2(
    p_run text, p_documents text[], p_paths bytea[], p_names text[], p_hashes text[], p_sizes bigint[], p_unchanged boolean[],
    p_code text[]
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
        UPDATE oaflow.crawled c SET seen = p_run, name = u.name, size = u.size
          FROM (SELECT u.document, u.name, u.size
                  FROM unnest(p_documents, p_names, p_sizes, p_unchanged) AS u (document, name, size, unchanged)
                 WHERE u.unchanged ORDER BY u.document) u
         WHERE c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = u.document;
    END IF;
    IF false = ANY (p_unchanged) THEN
        INSERT INTO oaflow.crawled AS c (dataset, pipeline, document, path, name, content_hash, size, seen, ran, done)
        SELECT r.dataset, r.pipeline, u.document, u.path, u.name, u.hash, u.size, p_run, p_run,
               CASE WHEN u.hash IS NULL THEN p_code END
          FROM unnest(p_documents, p_paths, p_names, p_hashes, p_sizes, p_unchanged)
            AS u (document, path, name, hash, size, unchanged)
         WHERE NOT u.unchanged ORDER BY u.document
        ON CONFLICT (dataset, pipeline, document) DO UPDATE
           SET seen = p_run, path = excluded.path, name = excluded.name, content_hash = excluded.content_hash,
               size = excluded.size, ran = p_run,
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
