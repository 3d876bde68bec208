-- A webhook under a name that is free; no row comes back where it is taken.
INSERT INTO oaflow.webhooks (name, url, pipeline) VALUES (%(name)s, %(url)s, %(pipeline)s)
ON CONFLICT (name) DO NOTHING RETURNING name
