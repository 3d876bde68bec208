-- Cancels a run: waiting jobs are removed at once.
SELECT oaflow.cancel_v1(%(run)s, %(reason)s)
