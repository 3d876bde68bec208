-- The names of what operators have set, for shell completion.
SELECT ARRAY(SELECT name FROM oaflow.schedules ORDER BY name) AS schedules,
       ARRAY(SELECT name FROM oaflow.webhooks ORDER BY name) AS webhooks,
       ARRAY(SELECT DISTINCT queue || '/' || task FROM oaflow.limits_now) AS limits
