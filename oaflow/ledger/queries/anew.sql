-- Documents of files that a run has done and that were known before, if its indexing stages ran again.
WITH RECURSIVE again AS MATERIALIZED (
    SELECT c.document FROM oaflow.crawled c JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
     WHERE r.id = %(run)s AND c.ran = r.id AND c.again AND c.content_hash IS NOT NULL AND c.done IS NOT NULL
       AND (c.redo IS NULL OR c.redo @> %(origins)s::text[])
), below (document, kind) AS (
    SELECT d.document, d.kind FROM again JOIN oaflow.documents d ON d.run = %(run)s AND d.document = again.document
    UNION
    SELECT d.document, d.kind FROM below JOIN oaflow.documents d ON d.run = %(run)s AND d.parent = below.document
)
SELECT below.document FROM below WHERE below.kind <> 'unchanged' ORDER BY below.document
