-- How much the stages of a run returned, and how much of it is kept. Each chunk of a stream is a separate hop.
SELECT h.stage,
       count(*) FILTER (WHERE h.detail ?| '{handed,lost}' AND h.outcome <> 'diverted') AS hops,
       count(*) FILTER (WHERE h.detail ? 'returned') AS kept,
       coalesce(sum((h.detail -> 'returned' ->> 'of')::bigint), 0)::bigint AS jobs,
       count(*) FILTER (WHERE h.outcome = 'diverted') AS diverted,
       count(*) FILTER (WHERE h.outcome = 'failed') AS failed
  FROM oaflow.hops h
 WHERE h.run = %(run)s AND h.stage IS NOT NULL AND h.outcome IN ('done', 'chunk', 'failed', 'diverted')
 GROUP BY h.stage
