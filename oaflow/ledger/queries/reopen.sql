-- Retries failed jobs of a run, in a new round.
SELECT oaflow.reopen_v1(%(run)s, %(jobs)s::bigint[])
