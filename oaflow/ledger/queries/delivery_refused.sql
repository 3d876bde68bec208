-- It was not told, for this reason; it is tried again after `delay` seconds, or, where that is NULL, not any more. Only by
-- who has made this attempt.
WITH late AS (
    UPDATE oaflow.deliveries SET next_at = now() + make_interval(secs => %(delay)s)
     WHERE id = %(id)s AND attempts = %(attempts)s RETURNING webhook)
UPDATE oaflow.webhooks w SET last_at = now(), problem = %(problem)s FROM late WHERE w.name = late.webhook
