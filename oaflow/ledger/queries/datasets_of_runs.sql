-- Each dataset that had a run: how many, and the latest.
SELECT DISTINCT ON (dataset) dataset, count(*) OVER (PARTITION BY dataset) AS runs, id AS run, pipeline, state, created_at
  FROM oaflow.runs ORDER BY dataset, created_at DESC, id
