-- How many jobs of each stage of a run workers hold.
SELECT j.args #>> '{payload,context,oaflow,stage}' AS stage, count(*) AS jobs
  FROM procrastinate_jobs j
 WHERE j.status = 'doing' AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
 GROUP BY 1
