-- Records why a message was not accepted; it is tried again after `delay` seconds, or never if that is NULL. Only for the
-- sender that made this attempt.
WITH late AS (
    UPDATE oaflow.deliveries SET next_at = now() + make_interval(secs => %(delay)s)
     WHERE id = %(id)s AND attempts = %(attempts)s RETURNING webhook)
UPDATE oaflow.webhooks w SET last_at = now(), problem = %(problem)s FROM late WHERE w.name = late.webhook
