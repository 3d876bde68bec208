-- Deletes a message that was accepted.
WITH told AS (DELETE FROM oaflow.deliveries WHERE id = %(id)s RETURNING webhook)
UPDATE oaflow.webhooks w SET last_at = now(), problem = NULL FROM told WHERE w.name = told.webhook
