-- A run by its id.
SELECT id, pipeline, plan, dataset, params, state, reason, round, sealed, created_at, finished_at,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - created_at)::float8 AS seconds
  FROM oaflow.runs WHERE id = %(run)s
