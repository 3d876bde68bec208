-- The schedules that begin runs over a dataset: after it is deleted they would make it anew.
DELETE FROM oaflow.schedules WHERE dataset = %(dataset)s
