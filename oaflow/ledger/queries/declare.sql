-- Which limits the plan of a run has; the arrays are parallel.
SELECT oaflow.declare_v1(%(run)s, %(queues)s::text[], %(tasks)s::text[], %(concurrency)s::integer[], %(every)s::float8[])
