-- Ends a run if it is finished; otherwise does nothing.
SELECT oaflow.close_v1(%(run)s)
