-- Of those who start a run of a pipeline and dataset, one after the other.
SELECT pg_advisory_xact_lock(hashtext('oaflow.starting'), hashtext(%(pipeline)s || ' ' || %(dataset)s))
