-- Deletes the rows of a worker that holds no job.
WITH gone AS (DELETE FROM oaflow.workers WHERE id = %(id)s)
DELETE FROM procrastinate_workers WHERE id = %(id)s
