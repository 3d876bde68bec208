-- Jobs of a run that have not ended.
SELECT coalesce(sum(open), 0)::bigint FROM oaflow.counters WHERE run = %(run)s
