-- Takes out jobs of some runs, among the next so many behind an id.
SELECT oaflow.delete_jobs_v1(%(dataset)s, %(runs)s::text[], %(after)s, %(rows)s)
