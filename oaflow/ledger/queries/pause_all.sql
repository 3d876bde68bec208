-- Pauses all runs, because a disk is full.
UPDATE oaflow.runs SET state = 'paused', reason = %(reason)s WHERE state = 'running'
