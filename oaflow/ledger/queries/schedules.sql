-- All schedules, the one that is due next first; with `due`, only those of which a tick has passed.
SELECT name, pipeline, plan, dataset, params, folders, places, cron, zone, due_at, last_at, last_run, problem, now() AS asked_at
  FROM oaflow.schedules WHERE NOT %(due)s OR due_at <= now() ORDER BY due_at, name
