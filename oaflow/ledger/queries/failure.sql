-- A failed job with what is needed to run it; it may have been retried since.
SELECT f.run, f.stage, f.job, f.task, f.args, f.type, f.message FROM oaflow.failures f WHERE f.job = %(job)s
