-- Documents of a run by the line of the receipt that counts them; NULL for none yet. If the run has no documents, for
-- example because it crawls nothing, its history is not read.
SELECT line, count(*) AS documents, count(*) FILTER (WHERE kind = 'unreadable') AS unreadable,
       count(*) FILTER (WHERE cancelled) AS cancelled
  FROM oaflow.receipt_v2(%(run)s, %(index)s::text[])
 WHERE EXISTS (SELECT FROM oaflow.documents d WHERE d.run = %(run)s)
 GROUP BY line
