-- Documents of a run by the line of the account at which each is counted; NULL is none yet.
SELECT line, count(*) AS documents, count(*) FILTER (WHERE kind = 'unreadable') AS unreadable
  FROM oaflow.receipt_v1(%(run)s, %(index)s::text[]) GROUP BY line
