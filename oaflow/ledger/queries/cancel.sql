-- Cancels a run: what waits is taken out at once.
SELECT oaflow.cancel_v1(%(run)s, %(reason)s)
