-- Of which media types the waiting jobs of a run are: of those that come next and of the last ones, so many of each.
-- Two walks of an index for each pair, from both of its ends.
SELECT pair.queue, pair.task, coalesce(w.media, '') AS media, count(*)::int AS jobs
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    (SELECT substring(j.args::text FROM '"mimeType": ?\["([^"\\]{1,100})"') AS media FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      ORDER BY (-j.priority), j.id LIMIT %(limit)s)
    UNION ALL
    (SELECT substring(j.args::text FROM '"mimeType": ?\["([^"\\]{1,100})"') FROM procrastinate_jobs j
      WHERE j.status = 'todo' AND j.lock IS NULL AND j.scheduled_at IS NULL
        AND j.queue_name = pair.queue AND j.task_name = pair.task
        AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
      ORDER BY (-j.priority) DESC, j.id DESC LIMIT %(limit)s)) w
 GROUP BY 1, 2, 3
