-- Its unsent messages are deleted with it.
DELETE FROM oaflow.webhooks WHERE name = %(name)s RETURNING name
