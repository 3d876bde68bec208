-- Whether a job of a task was ever on a queue, or a worker can run the task.
SELECT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.queue_name = %(queue)s AND j.task_name = %(task)s)
    OR EXISTS (SELECT 1 FROM oaflow.workers w WHERE %(task)s = ANY (w.tasks))
    OR EXISTS (SELECT 1 FROM oaflow.plans p, jsonb_each(p.definition -> 'stages') s
                WHERE s.value ->> 'queue' = %(queue)s AND s.value ->> 'task' = %(task)s)
