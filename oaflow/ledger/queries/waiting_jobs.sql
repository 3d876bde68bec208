-- The first jobs that wait at a stage, in the order of claims: those that can start, and those that wait for a time.
(SELECT j.id AS job, j.priority, j.scheduled_at, j.attempts, false AS locked FROM procrastinate_jobs j
  WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL AND j.queue_name = %(queue)s AND j.task_name = %(task)s
    AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
  ORDER BY (-j.priority), j.id LIMIT %(limit)s)
UNION ALL
(SELECT j.id, j.priority, j.scheduled_at, j.attempts, false FROM procrastinate_jobs j
  WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NOT NULL AND j.queue_name = %(queue)s AND j.task_name = %(task)s
    AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
  ORDER BY j.scheduled_at LIMIT %(limit)s)
UNION ALL
(SELECT j.id, j.priority, j.scheduled_at, j.attempts, true FROM procrastinate_jobs j
  WHERE j.status = 'todo' AND j.lock IS NOT NULL AND j.queue_name = %(queue)s AND j.task_name = %(task)s
    AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
  LIMIT %(limit)s)
LIMIT %(limit)s
