-- Holds up runs that begin or go on again, to the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('oaflow.archive'), 0)
