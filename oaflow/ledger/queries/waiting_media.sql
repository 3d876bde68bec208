-- The media types of the waiting jobs of a run, from a sample: for each pair, some jobs after each of a number of points
-- between the first and the last. Jobs with another priority than the first are left out.
SELECT pair.queue, pair.task, coalesce(w.media, '') AS media, count(*)::int AS jobs
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    SELECT j.id, j.priority FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
       AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
     ORDER BY (-j.priority), j.id LIMIT 1) first
 CROSS JOIN LATERAL (
    SELECT j.id FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
       AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s AND (-j.priority) = (-first.priority)
     ORDER BY (-j.priority) DESC, j.id DESC LIMIT 1) last
 CROSS JOIN generate_series(0, %(points)s - 1) AS point (number)
 CROSS JOIN LATERAL (
    SELECT substring(left(j.args::text, 4000) FROM '"mimeType": ?\["([^"\\]{1,100})"') AS media FROM procrastinate_jobs j
     WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
       AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s AND (-j.priority) = (-first.priority)
       AND j.id >= first.id + (last.id - first.id) * point.number / %(points)s
       AND j.id <= first.id + (last.id - first.id) * (point.number + 1) / %(points)s
     ORDER BY (-j.priority), j.id LIMIT %(each)s) w
 GROUP BY 1, 2, 3
