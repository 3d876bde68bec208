-- The failures of a run by stage and cause. Without a fingerprint the type and the message stand for the cause.
-- What lies too deep was never a job: it cannot be sent again, as `reopen` has it.
SELECT f.stage, min(f.type) AS type, (array_agg(f.message ORDER BY f.id))[1] AS message, min(f.fingerprint) AS fingerprint,
       count(*) AS count, count(*) FILTER (WHERE f.args IS NOT NULL AND f.queue IS NOT NULL) AS again,
       (array_agg(f.job ORDER BY f.id))[1:10] AS jobs,
       coalesce((array_agg(n.name ORDER BY f.id) FILTER (WHERE n.name IS NOT NULL))[1:10], '{}') AS names
  FROM oaflow.failures f
  LEFT JOIN LATERAL (
    SELECT d.name FROM oaflow.documents d WHERE d.run = f.run AND d.document = f.documents[1]) n ON true
 WHERE f.run = %(run)s AND f.resolved_at IS NULL
 GROUP BY f.stage, coalesce(f.fingerprint, concat_ws(': ', f.type, f.message))
 ORDER BY count(*) DESC, f.stage
