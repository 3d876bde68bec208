-- Which of some jobs still wait or run, and since when they could; jobs that wait to be collected count, too.
SELECT j.id AS job, j.status::text AS state, j.scheduled_at AS at, j.worker_id AS worker
  FROM procrastinate_jobs j WHERE j.id = ANY (%(jobs)s) AND j.status IN ('todo', 'doing')
 UNION ALL
SELECT w.id, 'collected', NULL, NULL FROM oaflow.collected w WHERE w.id = ANY (%(jobs)s) AND w.job IS NULL
