-- All schedules, ordered by the next tick; with `due`, only those that are not paused and whose tick has passed.
SELECT name, pipeline, plan, dataset, params, folders, places, cron, zone, due_at, last_at, last_run, problem, paused_at, now() AS asked_at
  FROM oaflow.schedules WHERE NOT %(due)s OR (due_at <= now() AND paused_at IS NULL) ORDER BY due_at, name
