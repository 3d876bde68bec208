-- All webhooks, with their unsent messages and those that were given up.
SELECT w.name, w.url, w.pipeline, w.created_at, w.last_at, w.problem,
       count(d.id) FILTER (WHERE d.next_at IS NOT NULL) AS waiting, count(d.id) FILTER (WHERE d.next_at IS NULL) AS given_up,
       extract(epoch FROM now() - min(d.created_at) FILTER (WHERE d.next_at IS NOT NULL))::float8 AS seconds
  FROM oaflow.webhooks w LEFT JOIN oaflow.deliveries d ON d.webhook = w.name
 GROUP BY w.name ORDER BY w.name
