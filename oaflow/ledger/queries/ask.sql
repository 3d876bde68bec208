-- Asks live workers whether they can run these tasks, one per notification, because a notification holds at most 8,000
-- bytes. They answer in their rows of oaflow.workers.
SELECT count(pg_notify('oaflow', json_build_object('event', 'task.asked', 'task', asked.task)::text)::text)
  FROM unnest(%(tasks)s::text[]) AS asked (task)
