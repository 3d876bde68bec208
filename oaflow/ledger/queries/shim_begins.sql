-- Registers a worker of a service with the shim, and its tasks. Deletes earlier ones that have ended.
WITH gone AS (
    DELETE FROM oaflow.shims s WHERE NOT EXISTS (SELECT FROM procrastinate_workers w WHERE w.id = s.worker)
)
INSERT INTO oaflow.shims (worker, tasks) VALUES (%(worker)s, %(tasks)s::text[])
