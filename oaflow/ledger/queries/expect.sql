-- A join of a run: it starts when no job is open in the stages that it waits for.
INSERT INTO oaflow.joins (run, stage, waits, queue, task, priority, args)
VALUES (%(run)s, %(stage)s, %(waits)s::text[], %(queue)s, %(task)s, %(priority)s, %(args)s::jsonb)
