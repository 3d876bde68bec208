-- The failures of a run by stage and cause. Without a fingerprint, type and message make one, as in `failures`.
-- A job that went too deep was never inserted, so it cannot be retried; `reopen` has the same rule.
SELECT g.stage, g.type, g.message, g.fingerprint, g.place, g.count, g.again, g.first, g.last, g.jobs,
       -- Only of the first few: a cause may have a million.
       -- OFFSET: looked up one by one; joined, all documents of the run would be read.
       ARRAY(SELECT d.name FROM unnest(g.documents) WITH ORDINALITY AS u (id, ord)
              CROSS JOIN LATERAL (
                SELECT d.name FROM oaflow.documents d WHERE d.run = %(run)s AND d.document = u.id OFFSET 0) d
              ORDER BY u.ord LIMIT 10) AS names
  FROM (
    SELECT f.stage, min(f.type) AS type, (array_agg(f.message ORDER BY f.id))[1] AS message, c.fingerprint,
           min(f.detail ->> 'place') AS place,
           count(*) AS count, count(*) FILTER (WHERE f.args IS NOT NULL AND f.queue IS NOT NULL) AS again,
           min(f.at) AS first, max(f.at) AS last, (array_agg(f.job ORDER BY f.id))[1:10] AS jobs,
           (array_agg(f.documents[1] ORDER BY f.id) FILTER (WHERE f.documents[1] IS NOT NULL))[1:50] AS documents
      FROM (SELECT * FROM oaflow.failures f
             WHERE f.run = %(run)s AND f.resolved_at IS NULL AND (%(stage)s::text IS NULL OR f.stage = %(stage)s)
             ORDER BY f.id LIMIT %(most)s) f
     CROSS JOIN LATERAL (
        SELECT coalesce(f.fingerprint, left(md5(concat_ws(E'\n', f.type, f.message)), 12)) AS fingerprint) c
     WHERE %(cause)s::text IS NULL OR c.fingerprint = %(cause)s
     GROUP BY f.stage, c.fingerprint) g
 ORDER BY g.count DESC, g.stage
