-- Runs, newest first. A run whose input was cut off is interrupted, and the reason says so.
-- The conditions are planned with their values (a custom plan), so that a dataset uses its index.
SELECT r.id, r.pipeline, r.plan, r.dataset, r.params, r.folders, r.first,
       CASE WHEN cut.off THEN 'interrupted' ELSE r.state END AS state,
       CASE WHEN cut.off THEN 'the command that started it ended before it had read its input to the end' ELSE r.reason END
           AS reason,
       r.round, r.sealed, r.unchanged, r.gone, r.gone_names, r.prune, r.rerun_of, r.created_at, r.finished_at,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.created_at)::float8 AS seconds,
       r.places
  FROM (
    SELECT * FROM oaflow.runs
     WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
       AND (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s)
       AND (%(states)s::text[] IS NULL OR state = ANY (%(states)s::text[]))
       AND (%(before)s::text IS NULL OR (created_at, id) < (SELECT b.created_at, b.id FROM oaflow.runs b WHERE b.id = %(before)s))
     ORDER BY created_at DESC, id DESC LIMIT %(limit)s
  ) r CROSS JOIN LATERAL oaflow.cut_v1(r.id, r.state, r.sealed) AS cut (off)
 ORDER BY r.created_at DESC, r.id DESC
