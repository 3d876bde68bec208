-- What a webhook was not told is due now, what was given up too.
UPDATE oaflow.deliveries SET next_at = now(), attempts = 0
 WHERE webhook = %(name)s AND (next_at IS NULL OR next_at > now()) RETURNING id
