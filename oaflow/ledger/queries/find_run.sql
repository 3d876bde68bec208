-- A run by its id. A run whose input was cut off is interrupted, and the reason says so.
SELECT r.id, r.pipeline, r.plan, r.dataset, r.params, r.folders, r.first,
       CASE WHEN cut.off THEN 'interrupted' ELSE r.state END AS state,
       CASE WHEN cut.off THEN 'the command that started it ended before it had read its input to the end' ELSE r.reason END
           AS reason,
       r.round, r.sealed, r.unchanged, r.gone, r.gone_names, r.prune, r.rerun_of, r.created_at, r.finished_at,
       extract(epoch FROM coalesce(r.finished_at, clock_timestamp()) - r.created_at)::float8 AS seconds,
       r.places
  FROM oaflow.runs r CROSS JOIN LATERAL oaflow.cut_v1(r.id, r.state, r.sealed) AS cut (off)
 WHERE r.id = %(run)s
