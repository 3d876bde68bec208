-- Documents of a run by line and reason, with a few names for those that are not simply indexed.
SELECT line, kind = 'unreadable' AS unreadable, reason, count(*) AS count,
       coalesce((array_agg(name ORDER BY name COLLATE "C")
                   FILTER (WHERE line IS DISTINCT FROM 'indexed' OR kind = 'unreadable'))[1:%(names)s], '{}') AS names
  FROM oaflow.receipt_v2(%(run)s, %(index)s::text[])
 GROUP BY 1, 2, 3 ORDER BY count(*) DESC, line, reason
