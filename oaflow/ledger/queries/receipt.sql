-- Documents of a run by the line of the account at which each is counted; NULL is none yet. Where it has none, as a run that
-- crawls nothing, its history is not read.
SELECT line, count(*) AS documents, count(*) FILTER (WHERE kind = 'unreadable') AS unreadable,
       count(*) FILTER (WHERE cancelled) AS cancelled
  FROM oaflow.receipt_v2(%(run)s, %(index)s::text[])
 WHERE EXISTS (SELECT FROM oaflow.documents d WHERE d.run = %(run)s)
 GROUP BY line
