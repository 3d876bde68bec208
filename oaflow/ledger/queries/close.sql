-- Ends a run that is quiet; does nothing to any other.
SELECT oaflow.close_v1(%(run)s)
