-- Sends failed jobs of a run again, in a new round.
SELECT oaflow.reopen_v1(%(run)s, %(jobs)s::bigint[])
