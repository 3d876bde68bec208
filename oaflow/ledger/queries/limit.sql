-- An operator's limits for a task on a queue.
SELECT oaflow.limit_v1(%(queue)s, %(task)s, %(concurrency)s::integer, %(every)s::float8, %(clear)s)
