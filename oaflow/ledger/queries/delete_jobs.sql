-- Deletes jobs of some runs, among a number of rows after an id.
SELECT oaflow.delete_jobs_v1(%(dataset)s, %(runs)s::text[], %(after)s, %(rows)s)
