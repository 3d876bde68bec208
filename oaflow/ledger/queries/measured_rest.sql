-- Live workers, ticks of schedules that wait for one, ends of runs that were not told, and how much room the database
-- takes.
SELECT (SELECT count(*) FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
         WHERE w.last_heartbeat > now() - make_interval(secs => %(silent)s)) AS workers,
       (SELECT count(*) FROM oaflow.schedules
         WHERE due_at < now() - make_interval(secs => %(late)s) AND paused_at IS NULL) AS late_schedules,
       (SELECT count(*) FROM oaflow.deliveries WHERE next_at IS NOT NULL) AS untold,
       (SELECT count(*) FROM oaflow.deliveries WHERE next_at IS NULL) AS given_up,
       pg_database_size(current_database()) AS bytes
