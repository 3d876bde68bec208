-- First jobs of a run; the arrays are parallel.
SELECT oaflow.enter_v1(%(run)s, %(queues)s::text[], %(tasks)s::text[], %(stages)s::text[], %(priorities)s::integer[],
                       %(args)s::jsonb, %(documents)s::jsonb, %(seal)s, %(collects)s::text[])
