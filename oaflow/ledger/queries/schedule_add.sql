-- A schedule under a name that is free; no row comes back where it is taken.
INSERT INTO oaflow.schedules (name, pipeline, plan, dataset, params, folders, places, cron, zone, due_at)
VALUES (%(name)s, %(pipeline)s, %(plan)s, %(dataset)s, %(params)s::jsonb, %(folders)s::text[], %(places)s::jsonb, %(cron)s, %(zone)s, %(due_at)s)
ON CONFLICT (name) DO NOTHING RETURNING name
