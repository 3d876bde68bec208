-- Files of earlier runs of a pipeline and dataset that the crawl of this run found as folders.
SELECT c.document FROM oaflow.crawled c JOIN oaflow.runs r ON r.dataset = c.dataset AND r.pipeline = c.pipeline
 WHERE r.id = %(run)s AND c.ran = r.id AND c.again AND c.content_hash IS NULL
   AND EXISTS (SELECT FROM oaflow.runs o JOIN oaflow.documents d ON d.run = o.id AND d.document = c.document
                WHERE o.dataset = r.dataset AND o.pipeline = r.pipeline)
