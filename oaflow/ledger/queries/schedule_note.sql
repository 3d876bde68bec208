-- The result of the last tick: a run, or why there is none.
UPDATE oaflow.schedules SET last_run = %(run)s, problem = %(problem)s WHERE name = %(name)s
