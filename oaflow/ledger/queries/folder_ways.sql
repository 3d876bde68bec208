-- A path that a run found as a folder has no path through the stages, even if it had one as a file.
DELETE FROM oaflow.steps s USING oaflow.runs r, oaflow.crawled c
 WHERE r.id = %(run)s AND c.dataset = r.dataset AND c.pipeline = r.pipeline AND c.ran = r.id AND c.content_hash IS NULL
   AND s.dataset = c.dataset AND s.pipeline = c.pipeline AND s.document = c.document
