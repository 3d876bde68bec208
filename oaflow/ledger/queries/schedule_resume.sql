-- It goes on with a tick to come: those that passed meanwhile are not made up for. One that is not paused stays at its tick.
UPDATE oaflow.schedules SET paused_at = NULL, due_at = %(due_at)s WHERE name = %(name)s AND paused_at IS NOT NULL
