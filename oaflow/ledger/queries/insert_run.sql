-- The row of a run that has no jobs yet. A taken id is a unique violation: the caller tries another.
INSERT INTO oaflow.runs (id, pipeline, plan, dataset, params)
VALUES (%(run)s, %(pipeline)s, %(plan)s, %(dataset)s, %(params)s::jsonb)
