-- Deletes what is known about a dataset's sources.
WITH gone AS (DELETE FROM oaflow.crawled WHERE dataset = %(dataset)s RETURNING content_hash),
way AS (DELETE FROM oaflow.steps WHERE dataset = %(dataset)s)
INSERT INTO oaflow.orphans (content_hash, dataset)
SELECT DISTINCT content_hash, %(dataset)s FROM gone WHERE content_hash IS NOT NULL ON CONFLICT DO NOTHING
