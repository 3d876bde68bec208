-- Documents of a run by the line of the account at which each is counted; NULL is none yet.
SELECT line, count(*) AS documents, count(*) FILTER (WHERE kind = 'unreadable') AS unreadable,
       count(*) FILTER (WHERE cancelled) AS cancelled
  FROM oaflow.receipt_v2(%(run)s, %(index)s::text[]) GROUP BY line
