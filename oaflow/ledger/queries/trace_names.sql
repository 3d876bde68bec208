-- The documents with a name, or with one that ends with it after a slash, in all runs, latest run first.
SELECT d.run, r.dataset, d.document, d.name, d.kind, d.reason, d.job
  FROM oaflow.runs r JOIN oaflow.documents d ON d.run = r.id
 WHERE (%(run)s::text IS NULL OR r.id = %(run)s) AND (%(dataset)s::text IS NULL OR r.dataset = %(dataset)s)
   AND (d.name = %(name)s OR right(d.name, length(%(name)s) + 1) = '/' || %(name)s)
 ORDER BY r.created_at DESC, d.name, d.document LIMIT %(limit)s
