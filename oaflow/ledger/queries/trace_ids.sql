-- The documents with some ids in all runs, latest run first: one index probe per run.
SELECT d.run, r.dataset, d.document, d.name, d.kind, d.reason, d.job
  FROM oaflow.runs r CROSS JOIN LATERAL (
    SELECT * FROM oaflow.documents d WHERE d.run = r.id AND d.document = ANY (%(ids)s) OFFSET 0) d
 WHERE (%(run)s::text IS NULL OR r.id = %(run)s) AND (%(dataset)s::text IS NULL OR r.dataset = %(dataset)s)
 ORDER BY r.created_at DESC, d.name, d.document
