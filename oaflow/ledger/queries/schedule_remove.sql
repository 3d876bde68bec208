-- What it has begun goes on.
DELETE FROM oaflow.schedules WHERE name = %(name)s
