-- A run that has ended, with what settling needs.
SELECT r.dataset, r.pipeline, r.prune, r.round, r.created_at AS begun, r.since, r.covered IS NOT NULL AS covered
  FROM oaflow.runs r WHERE r.id = %(run)s
