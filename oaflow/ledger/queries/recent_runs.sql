-- Runs, the newest first.
-- The conditions are planned with their values (a custom plan), so that a dataset uses its index.
SELECT id, pipeline, plan, dataset, params, state, reason, round, sealed, created_at, finished_at,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - created_at)::float8 AS seconds
  FROM oaflow.runs
 WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
   AND (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s)
   AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s::text[]))
 ORDER BY created_at DESC, id LIMIT %(limit)s
