-- Files that a run has done and that were known before; `redo` is what was rewritten, if that is not everything.
SELECT c.document, c.redo FROM oaflow.crawled c JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
 WHERE r.id = %(run)s AND c.ran = r.id AND c.again AND c.content_hash IS NOT NULL AND c.done IS NOT NULL
   AND c.document > %(after)s
 ORDER BY c.document LIMIT %(rows)s
