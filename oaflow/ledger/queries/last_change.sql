-- The open runs, and how many runs there were so far and when one last began or ended: the same as before, nothing has
-- begun meanwhile.
SELECT (SELECT array_agg(o.id ORDER BY o.id) FROM oaflow.runs o WHERE o.state IN ('running', 'paused', 'interrupted')) AS open,
       count(*) AS runs, greatest(max(created_at), max(finished_at)) AS at
  FROM oaflow.runs
