-- What waits in a run to be collected: jobs, their entities, and how long the first of them has waited.
SELECT stage, count(*)::int AS jobs, sum(entities)::int AS entities,
       extract(epoch FROM clock_timestamp() - min(arrived))::float8 AS seconds
  FROM oaflow.collected WHERE run = %(run)s AND job IS NULL GROUP BY stage ORDER BY stage
