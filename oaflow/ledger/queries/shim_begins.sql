-- A worker of a service that collects what its jobs hand over, and the tasks that it has. Those before it that have ended go.
WITH gone AS (
    DELETE FROM oaflow.shims s WHERE NOT EXISTS (SELECT FROM procrastinate_workers w WHERE w.id = s.worker)
)
INSERT INTO oaflow.shims (worker, tasks) VALUES (%(worker)s, %(tasks)s::text[])
