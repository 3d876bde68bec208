-- The failures of a run that were not retried since.
-- A job that went too deep was never inserted, so it cannot be retried; `reopen` has the same rule.
-- A job that was failed by the recovery of its dead worker has no list of documents: its entities name them.
SELECT f.job, f.stage, f.round, f.task, f.type, f.message, f.traceback, c.fingerprint, f.detail, f.attempts, f.at,
       f.args IS NOT NULL AND f.queue IS NOT NULL AS again,
       named.documents, named.names
  FROM oaflow.failures f
 CROSS JOIN LATERAL (
    SELECT coalesce(f.fingerprint, left(md5(concat_ws(E'\n', f.type, f.message)), 12)) AS fingerprint) c
 CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(u.id ORDER BY u.ord), '{}') AS documents,
           coalesce(array_agg(coalesce(d.name, u.id) ORDER BY u.ord), '{}') AS names
      FROM (SELECT u.id, u.ord FROM unnest(f.documents) WITH ORDINALITY AS u (id, ord)
            UNION ALL
            SELECT e.value ->> 'id', e.ord
              FROM jsonb_array_elements(CASE WHEN f.documents IS NULL AND jsonb_typeof(f.args #> '{payload,entities}') = 'array'
                                             THEN f.args #> '{payload,entities}' ELSE '[]' END)
                   WITH ORDINALITY AS e (value, ord)) u
      -- OFFSET: looked up one by one; joined, all documents of the run would be read for each failure.
      LEFT JOIN LATERAL (
        SELECT d.document, d.name FROM oaflow.documents d WHERE d.run = f.run AND d.document = u.id OFFSET 0) d ON true
     WHERE f.documents IS NOT NULL OR d.document IS NOT NULL) named
 WHERE f.run = %(run)s AND f.resolved_at IS NULL AND (%(stage)s::text IS NULL OR f.stage = %(stage)s)
   AND (%(cause)s::text IS NULL OR c.fingerprint = %(cause)s)
   AND (%(after)s::bigint IS NULL OR f.id > (SELECT a.id FROM oaflow.failures a WHERE a.job = %(after)s))
 ORDER BY f.id LIMIT %(limit)s
