-- What a worker can run, and what it cannot.
UPDATE oaflow.workers
   SET tasks = %(tasks)s, takes = %(takes)s::jsonb, async_tasks = %(async_tasks)s, lacks = %(lacks)s::jsonb,
       unfit = %(unfit)s::jsonb
 WHERE id = %(worker)s
