-- Moves a schedule on from the tick that it is at. Who comes second waits for the first, and gets no row.
UPDATE oaflow.schedules SET due_at = %(due_at)s, last_at = due_at, last_run = NULL, problem = NULL
 WHERE name = %(name)s AND due_at = %(taken)s AND paused_at IS NULL RETURNING name
