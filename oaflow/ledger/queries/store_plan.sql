-- Stores a plan under its digest. Plans are immutable: an existing one stays.
INSERT INTO oaflow.plans (digest, format, pipeline, definition)
VALUES (%(digest)s, %(format)s, %(pipeline)s, %(definition)s::jsonb)
ON CONFLICT (digest) DO NOTHING
