-- Cancels a run with too many failures.
SELECT count(*) FROM oaflow.stop_v1(%(run)s)
