-- The open runs, how many runs there have been, and when one last started or ended: if these are unchanged, no run has
-- started meanwhile.
SELECT (SELECT array_agg(o.id ORDER BY o.id) FROM oaflow.runs o WHERE o.state IN ('running', 'paused', 'interrupted')) AS open,
       count(*) AS runs, greatest(max(created_at), max(finished_at)) AS at
  FROM oaflow.runs
