-- The failures of a run by stage and cause. Without a fingerprint it is one of the type and the message, as in `failures`.
-- What lies too deep was never a job: it cannot be sent again, as `reopen` has it.
SELECT f.stage, min(f.type) AS type, (array_agg(f.message ORDER BY f.id))[1] AS message, min(c.fingerprint) AS fingerprint,
       min(f.detail ->> 'place') AS place,
       count(*) AS count, count(*) FILTER (WHERE f.args IS NOT NULL AND f.queue IS NOT NULL) AS again,
       min(f.at) AS first, max(f.at) AS last,
       (array_agg(f.job ORDER BY f.id))[1:10] AS jobs,
       coalesce((array_agg(n.name ORDER BY f.id) FILTER (WHERE n.name IS NOT NULL))[1:10], '{}') AS names
  FROM (SELECT * FROM oaflow.failures f
         WHERE f.run = %(run)s AND f.resolved_at IS NULL AND (%(stage)s::text IS NULL OR f.stage = %(stage)s)
         ORDER BY f.id LIMIT %(most)s) f
 CROSS JOIN LATERAL (
    SELECT coalesce(f.fingerprint, left(md5(concat_ws(E'\n', f.type, f.message)), 12)) AS fingerprint) c
  LEFT JOIN LATERAL (
    SELECT d.name FROM oaflow.documents d WHERE d.run = f.run AND d.document = f.documents[1]) n ON true
 WHERE %(cause)s::text IS NULL OR c.fingerprint = %(cause)s
 GROUP BY f.stage, c.fingerprint
 ORDER BY count(*) DESC, f.stage
