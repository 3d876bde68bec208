-- Live workers, ticks of schedules that wait for a worker, unsent webhook messages, and the size of the database.
SELECT (SELECT count(*) FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
         WHERE w.last_heartbeat > now() - make_interval(secs => %(silent)s)) AS workers,
       (SELECT count(*) FROM oaflow.schedules
         WHERE due_at < now() - make_interval(secs => %(late)s) AND paused_at IS NULL) AS late_schedules,
       (SELECT count(*) FROM oaflow.deliveries WHERE next_at IS NOT NULL) AS untold,
       (SELECT count(*) FROM oaflow.deliveries WHERE next_at IS NULL) AS given_up,
       pg_database_size(current_database()) AS bytes
