-- Deletes what else is known about a run, a portion at a time; returns whether there may be more.
SELECT oaflow.delete_rest_v1(%(dataset)s, %(run)s, %(rows)s)
