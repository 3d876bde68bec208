-- Whether nothing of a dataset is searchable.
SELECT NOT EXISTS (SELECT 1 FROM oaflow.passages WHERE dataset = %(dataset)s)
