-- Pausing it again changes nothing.
UPDATE oaflow.schedules SET paused_at = coalesce(paused_at, now()) WHERE name = %(name)s
