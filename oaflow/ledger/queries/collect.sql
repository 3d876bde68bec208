-- A stage of a run that collects.
INSERT INTO oaflow.collects (run, stage, size, wait, feeders, queue, task, priority)
VALUES (%(run)s, %(stage)s, %(size)s, %(wait)s, %(feeders)s::text[], %(queue)s, %(task)s, %(priority)s)
