-- Documents of a run that are no longer as it left them: those that a later run of its pipeline has processed, and those
-- that are gone from the folders of the dataset and were removed, with their contents.
-- OFFSET: looked up one by one; joined, all files of a dataset that is new would be read for each document.
WITH RECURSIVE me AS MATERIALIZED (SELECT * FROM oaflow.runs WHERE id = %(run)s), later AS MATERIALIZED (
    SELECT DISTINCT d.document FROM me JOIN oaflow.runs r ON r.dataset = me.dataset AND r.pipeline = me.pipeline
      JOIN oaflow.documents d ON d.run = r.id
     WHERE r.created_at > me.created_at AND d.kind <> 'unchanged'
), gone (document) AS (
    SELECT d.document FROM me JOIN oaflow.documents d ON d.run = me.id
     WHERE me.covered IS NOT NULL AND d.parent IS NULL AND d.kind <> 'skipped'
       AND NOT EXISTS (SELECT FROM oaflow.crawled c WHERE c.dataset = me.dataset AND c.pipeline = me.pipeline
                          AND c.document = d.document OFFSET 0)
    UNION
    SELECT d.document FROM gone JOIN oaflow.documents d ON d.run = %(run)s AND d.parent = gone.document
)
SELECT document FROM later UNION SELECT document FROM gone
