-- Records the tasks whose code has changed since a worker loaded it.
UPDATE oaflow.workers SET stale = %(stale)s::jsonb, restart = %(restart)s WHERE id = %(worker)s
