-- What it had not been told goes with it.
DELETE FROM oaflow.webhooks WHERE name = %(name)s RETURNING name
