-- Blocks runs from starting or continuing, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('oaflow.archive'), 0)
