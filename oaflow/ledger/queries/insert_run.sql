-- The row of a run that has no jobs yet. A taken id is a unique violation: the caller tries another.
-- The session takes the lock before the row is visible: if the lock is gone and the run is not sealed, the input was cut
-- off (oaflow.cut_v1). Once the run is sealed, the lock has no meaning.
INSERT INTO oaflow.runs (id, pipeline, plan, dataset, params, folders, first, stages, places, force, prune, rerun_of)
VALUES (%(run)s, %(pipeline)s, %(plan)s, %(dataset)s, %(params)s::jsonb, %(folders)s::text[], %(first)s,
        %(stages)s::jsonb, %(places)s::jsonb, %(force)s, %(prune)s, %(rerun_of)s)
RETURNING pg_advisory_lock(hashtext('oaflow.entering'), hashtext(id))
