-- The names of the schedules that start runs over a dataset.
SELECT name FROM oaflow.schedules WHERE dataset = %(dataset)s ORDER BY name
