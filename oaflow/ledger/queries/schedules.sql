-- All schedules, the one that is due next first; with `due`, only those of which a tick has passed, and that are not paused.
SELECT name, pipeline, plan, dataset, params, folders, places, cron, zone, due_at, last_at, last_run, problem, paused_at, now() AS asked_at
  FROM oaflow.schedules WHERE NOT %(due)s OR (due_at <= now() AND paused_at IS NULL) ORDER BY due_at, name
