-- Which of some documents are in files that a run has done, if its indexing stages ran again.
WITH RECURSIVE above (document, file) AS (
    SELECT d.document, d.document FROM oaflow.documents d
     WHERE d.run = %(run)s AND d.document = ANY (%(documents)s::text[]) AND d.kind <> 'unchanged'
    UNION
    SELECT above.document, d.parent FROM above JOIN oaflow.documents d ON d.run = %(run)s AND d.document = above.file
     WHERE d.parent IS NOT NULL
)
SELECT DISTINCT above.document FROM above JOIN oaflow.runs r ON r.id = %(run)s
  JOIN oaflow.crawled c ON c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = above.file
 WHERE c.ran = r.id AND c.content_hash IS NOT NULL AND c.done IS NOT NULL
   AND (c.redo IS NULL OR c.redo @> %(origins)s::text[])
