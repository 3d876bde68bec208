WITH gone AS (DELETE FROM oaflow.passages WHERE dataset = %(dataset)s RETURNING entity)
SELECT count(DISTINCT entity) FROM gone
