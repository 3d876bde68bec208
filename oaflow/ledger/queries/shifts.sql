-- Which workers worked on a run, and for how long.
SELECT worker, executors, began, ended, seconds FROM oaflow.shifts WHERE run = %(run)s ORDER BY began
