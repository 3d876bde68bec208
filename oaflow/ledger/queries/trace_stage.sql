-- The stage of a job, its documents, and the number of its current or last attempt: its lines of history without the
-- chunks of a stream, and one more if it is still open.
SELECT h.stage, coalesce(h.documents, '{}') AS documents, (
    SELECT count(*) FILTER (WHERE e.outcome <> 'chunk')
         + (NOT bool_or(e.outcome IN ('done', 'failed', 'diverted', 'parted', 'cancelled', 'vanished')))::int
      FROM oaflow.hops e
     WHERE e.run = %(run)s AND e.at BETWEEN %(since)s AND %(until)s AND e.job = %(job)s)::int AS attempt
  FROM oaflow.hops h
 WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job = %(job)s AND h.stage IS NOT NULL LIMIT 1
