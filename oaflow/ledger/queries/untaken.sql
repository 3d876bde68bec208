-- Jobs of a run that wait for a service while no job of their queue runs anywhere. A service does not report what it can
-- run; if it works, it holds a job or has taken one within the last seconds.
SELECT pair.queue, pair.task, extract(epoch FROM clock_timestamp() - first.at)::float8 AS seconds, true AS external
  FROM unnest(%(queues)s::text[], %(tasks)s::text[]) AS pair (queue, task)
 CROSS JOIN LATERAL (
    SELECT coalesce((SELECT max(h.at) FROM oaflow.hops h
                      WHERE h.run = %(run)s AND h.job = (j.args #>> '{payload,context,oaflow,parent}')::bigint),
                    r.created_at) AS at
      FROM procrastinate_jobs j LEFT JOIN oaflow.runs r ON r.id = %(run)s
     WHERE j.status = 'todo' AND j.scheduled_at IS NULL AND j.queue_name = pair.queue AND j.task_name = pair.task
       AND j.args #>> '{payload,context,oaflow,run}' = %(run)s
     ORDER BY (-j.priority), j.id LIMIT 1) first
 WHERE first.at < clock_timestamp() - interval '10 s'
   AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.status = 'doing' AND j.queue_name = pair.queue)
   AND NOT EXISTS (SELECT FROM oaflow.hops h
                    WHERE h.run = %(run)s AND h.outcome = 'answered' AND h.at > clock_timestamp() - interval '10 s')
 ORDER BY pair.queue, pair.task
