-- What waits in a run to be put together with others: jobs, their entities, and for how long the first of them.
SELECT stage, count(*)::int AS jobs, sum(entities)::int AS entities,
       extract(epoch FROM clock_timestamp() - min(arrived))::float8 AS seconds
  FROM oaflow.collected WHERE run = %(run)s AND job IS NULL GROUP BY stage ORDER BY stage
