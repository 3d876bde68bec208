-- Files and folders that are gone, and taken out.
DELETE FROM oaflow.crawled c USING oaflow.runs r
 WHERE r.id = %(run)s AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.document = ANY (%(documents)s::text[])
