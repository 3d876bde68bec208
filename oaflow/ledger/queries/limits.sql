-- The limits that apply now, with how many jobs run and wait there.
SELECT h.queue, h.task, h.concurrency, 1 / h.every AS rate,
       h.said_concurrency, 1 / h.said_every AS said_rate,
       (SELECT count(*)::int FROM procrastinate_jobs j
         WHERE j.status = 'doing' AND j.queue_name = h.queue AND j.task_name = h.task) AS running,
       (SELECT count(*)::int FROM (
            SELECT 1 FROM procrastinate_jobs j
             WHERE j.status = 'todo' AND j.queue_name = h.queue AND j.task_name = h.task LIMIT %(counted)s) w) AS waiting
  FROM oaflow.limits_now h ORDER BY h.queue, h.task
