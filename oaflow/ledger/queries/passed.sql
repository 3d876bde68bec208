-- How many jobs of a run went from one stage to another, and how many over `on_error`. Reads all of its history.
SELECT h.stage AS source, way ->> 0 AS stage, h.outcome = 'diverted' AS error, count(*) AS jobs
  FROM oaflow.hops h CROSS JOIN LATERAL jsonb_array_elements(h.detail -> 'handed') AS way
 WHERE h.run = %(run)s AND h.stage IS NOT NULL AND jsonb_typeof(h.detail -> 'handed') = 'array' AND h.outcome <> 'parted'
 GROUP BY 1, 2, 3
