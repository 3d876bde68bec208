-- The files that contain documents of a run, each with the run in which the file was last emitted.
WITH RECURSIVE above (document, file) AS (
    SELECT u.document, u.document FROM unnest(%(documents)s::text[]) AS u (document)
    UNION
    SELECT above.document, d.parent FROM above JOIN oaflow.documents d ON d.run = %(run)s AND d.document = above.file
     WHERE d.parent IS NOT NULL
)
SELECT above.document, c.document, c.ran FROM above JOIN oaflow.runs r ON r.id = %(run)s
  JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = above.file
