-- The stage of a job, the documents that it was about, and at which of its attempts it is or ended: what is in the history
-- of it but for the parts of a stream, and one more where it goes on.
SELECT h.stage, coalesce(h.documents, '{}') AS documents, (
    SELECT count(*) FILTER (WHERE e.outcome <> 'chunk')
         + (NOT bool_or(e.outcome IN ('done', 'failed', 'diverted', 'parted', 'cancelled', 'vanished')))::int
      FROM oaflow.hops e
     WHERE e.run = %(run)s AND e.at BETWEEN %(since)s AND %(until)s AND e.job = %(job)s)::int AS attempt
  FROM oaflow.hops h
 WHERE h.run = %(run)s AND h.at BETWEEN %(since)s AND %(until)s AND h.job = %(job)s AND h.stage IS NOT NULL LIMIT 1
