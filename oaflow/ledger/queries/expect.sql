-- A join of a run: it fires when nothing is open in the stages that it waits for.
INSERT INTO oaflow.joins (run, stage, waits, queue, task, priority, args)
VALUES (%(run)s, %(stage)s, %(waits)s::text[], %(queue)s, %(task)s, %(priority)s, %(args)s::jsonb)
