-- The history of a run, the oldest first.
SELECT at, stage, job, parent, attempt, outcome, started, ended, worker, version, documents, successors, detail
  FROM oaflow.hops
 WHERE run = %(run)s AND (%(after)s::timestamptz IS NULL OR at > %(after)s)
 ORDER BY at, job LIMIT %(limit)s
