-- The latest run of each pipeline that a dataset had.
SELECT DISTINCT ON (r.pipeline) r.id FROM oaflow.runs r WHERE r.dataset = %(dataset)s
 ORDER BY r.pipeline, r.created_at DESC, r.id
