-- Forgets files and folders that are gone and removed.
WITH way AS (
    DELETE FROM oaflow.steps s USING oaflow.runs r
     WHERE r.id = %(run)s AND s.dataset = r.dataset AND s.pipeline = r.pipeline AND s.document = ANY (%(documents)s::text[])
)
DELETE FROM oaflow.crawled c USING oaflow.runs r
 WHERE r.id = %(run)s AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = ANY (%(documents)s::text[])
