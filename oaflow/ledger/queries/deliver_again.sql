-- Makes all unsent messages of a webhook due now, including those that were given up.
UPDATE oaflow.deliveries SET next_at = now(), attempts = 0
 WHERE webhook = %(name)s AND (next_at IS NULL OR next_at > now()) RETURNING id
