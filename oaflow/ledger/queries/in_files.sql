-- The files of a pipeline and dataset that contain some documents, as of their last run; `done`: the file was finished.
WITH RECURSIVE ran AS MATERIALIZED (
    SELECT DISTINCT c.ran FROM oaflow.crawled c
     WHERE c.dataset = %(dataset)s AND c.pipeline = %(pipeline)s AND c.content_hash IS NOT NULL
), above (document, run, file) AS (
    SELECT u.document, ran.ran, u.document FROM unnest(%(documents)s::text[]) AS u (document) CROSS JOIN ran
    UNION
    SELECT above.document, above.run, d.parent FROM above
     CROSS JOIN LATERAL (
        SELECT d.parent FROM oaflow.documents d
         WHERE d.run = above.run AND d.document = above.file AND d.parent IS NOT NULL OFFSET 0) d
)
SELECT above.document, c.document AS file, c.done FROM above
 CROSS JOIN LATERAL (
    SELECT c.document, c.done IS NOT NULL AS done FROM oaflow.crawled c
     WHERE c.dataset = %(dataset)s AND c.pipeline = %(pipeline)s AND c.document = above.file AND c.ran = above.run
       AND c.content_hash IS NOT NULL OFFSET 0) c
