-- The runs of a dataset.
SELECT id FROM oaflow.runs WHERE dataset = %(dataset)s ORDER BY created_at, id
