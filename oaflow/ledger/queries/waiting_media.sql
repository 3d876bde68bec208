-- Of which media types the waiting jobs of a run are, by a sample: of each pair, some jobs behind each of so many points
-- between the first and the last. What waits with another priority than the first is left out.
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
