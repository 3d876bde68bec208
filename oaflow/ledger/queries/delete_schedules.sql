-- Deletes the schedules that start runs over a dataset: after its deletion, they would create it again.
DELETE FROM oaflow.schedules WHERE dataset = %(dataset)s
