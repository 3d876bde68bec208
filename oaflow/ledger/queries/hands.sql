-- The jobs that workers hold, by run and stage, with their lowest priority. Read from the index of rows with a worker.
SELECT j.worker_id AS worker, j.args #>> '{payload,context,oaflow,run}' AS run,
       j.args #>> '{payload,context,oaflow,stage}' AS stage, count(*)::int AS jobs, min(j.priority)::int AS priority
  FROM procrastinate_jobs j
 WHERE j.worker_id = ANY (%(workers)s::bigint[]) AND j.status = 'doing'
   AND j.args #>> '{payload,context,oaflow,run}' IS NOT NULL
 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
