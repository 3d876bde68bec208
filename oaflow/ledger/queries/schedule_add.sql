-- A schedule under a free name; returns no row if the name is taken.
INSERT INTO oaflow.schedules (name, pipeline, plan, dataset, params, folders, places, cron, zone, due_at)
VALUES (%(name)s, %(pipeline)s, %(plan)s, %(dataset)s, %(params)s::jsonb, %(folders)s::text[], %(places)s::jsonb, %(cron)s, %(zone)s, %(due_at)s)
ON CONFLICT (name) DO NOTHING RETURNING name
