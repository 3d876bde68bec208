-- The failures of a document in its run: its jobs, and what was never a job because it went too deep.
SELECT f.job, f.stage, f.type, f.message, f.traceback, f.fingerprint, f.attempts, f.at, f.resolved_at
  FROM oaflow.failures f
 WHERE f.job = ANY (%(jobs)s::bigint[]) AND f.run = %(run)s
 UNION ALL
SELECT f.job, f.stage, f.type, f.message, f.traceback, f.fingerprint, f.attempts, f.at, f.resolved_at
  FROM oaflow.failures f
 WHERE f.run = %(run)s AND f.resolved_at IS NULL AND f.args IS NULL AND %(document)s = ANY (f.documents)
 ORDER BY job
