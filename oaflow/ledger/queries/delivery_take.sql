-- Takes the delivery that has been due longest. For `hold` seconds no other sender gets it; if its sender is killed
-- meanwhile, it is due again then. Several senders get different deliveries, without waiting.
UPDATE oaflow.deliveries d
   SET attempts = d.attempts + 1, next_at = now() + make_interval(secs => %(hold)s)
  FROM (SELECT id FROM oaflow.deliveries WHERE next_at <= now() ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED) first,
       oaflow.webhooks w
 WHERE d.id = first.id AND w.name = d.webhook
RETURNING d.id, d.webhook, w.url, d.run, d.body, d.attempts
