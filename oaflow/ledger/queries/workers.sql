-- Live workers. `executors` and `memory` are NULL until reported. `doing` is read from the index of rows with a worker.
SELECT o.id, o.host, o.pid, o.program, o.tasks, o.run, o.executors, o.memory, o.started_at, o.stale, o.restart,
       extract(epoch FROM now() - w.last_heartbeat)::float8 AS silent,
       (SELECT count(*) FROM procrastinate_jobs j WHERE j.worker_id = o.id AND j.status = 'doing') AS doing
  FROM oaflow.workers o JOIN procrastinate_workers w ON w.id = o.id
 WHERE w.last_heartbeat > now() - make_interval(secs => %(silent)s)
 ORDER BY o.id
