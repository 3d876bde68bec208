-- Whether nothing of a dataset can be found.
SELECT NOT EXISTS (SELECT 1 FROM oaflow.passages WHERE dataset = %(dataset)s)
