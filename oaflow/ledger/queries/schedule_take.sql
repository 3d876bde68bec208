-- Advances a schedule from its current tick. A second caller waits for the first, and gets no row.
UPDATE oaflow.schedules SET due_at = %(due_at)s, last_at = due_at, last_run = NULL, problem = NULL
 WHERE name = %(name)s AND due_at = %(taken)s AND paused_at IS NULL RETURNING name
