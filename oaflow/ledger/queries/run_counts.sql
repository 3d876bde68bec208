-- How many jobs of some runs are in which state, over all of their stages.
SELECT run, sum(open)::bigint AS open, sum(done)::bigint AS done, sum(failed)::bigint AS failed
  FROM oaflow.counters WHERE run = ANY (%(runs)s::text[])
 GROUP BY run
