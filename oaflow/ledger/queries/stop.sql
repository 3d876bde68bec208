-- Cancels a run of which too much has failed.
SELECT count(*) FROM oaflow.stop_v1(%(run)s)
