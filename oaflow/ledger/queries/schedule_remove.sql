-- The runs that it has started continue.
DELETE FROM oaflow.schedules WHERE name = %(name)s
