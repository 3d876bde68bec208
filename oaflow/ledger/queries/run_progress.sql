-- The progress of each stage of a run.
-- Counts jobs, not entities: one job may carry many entities.
SELECT stage, sum(open)::bigint AS open, sum(done)::bigint AS done, sum(failed)::bigint AS failed,
       sum(unmatched)::bigint AS unmatched, sum(dropped)::bigint AS dropped, sum(ended)::bigint AS ended,
       sum(diverted)::bigint AS diverted, sum(vanished)::bigint AS vanished
  FROM oaflow.counters WHERE run = %(run)s
 GROUP BY stage ORDER BY stage
