-- Inserts the rows of a worker: procrastinate's, which gives the id, and ours.
WITH made AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id),
kept AS (
    INSERT INTO oaflow.worked AS k (id, host, pid, program)
    SELECT id, %(host)s, %(pid)s, %(program)s FROM made
    ON CONFLICT (id) DO UPDATE
       SET (host, pid, program, started_at) = (excluded.host, excluded.pid, excluded.program, now()))
INSERT INTO oaflow.workers (id, host, pid, program, formats, run)
SELECT id, %(host)s, %(pid)s, %(program)s, %(formats)s::int[], %(run)s FROM made
RETURNING id
