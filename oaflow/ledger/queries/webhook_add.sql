-- A webhook under a free name; returns no row if the name is taken.
INSERT INTO oaflow.webhooks (name, url, pipeline) VALUES (%(name)s, %(url)s, %(pipeline)s)
ON CONFLICT (name) DO NOTHING RETURNING name
