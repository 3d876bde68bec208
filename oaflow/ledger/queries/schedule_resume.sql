-- It continues with a future tick: ticks that passed meanwhile are not made up for. Without a pause, its tick stays.
UPDATE oaflow.schedules SET paused_at = NULL, due_at = %(due_at)s WHERE name = %(name)s AND paused_at IS NOT NULL
