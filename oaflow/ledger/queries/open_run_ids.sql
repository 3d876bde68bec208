-- Runs that have not ended.
SELECT id FROM oaflow.runs WHERE state IN ('running', 'paused', 'interrupted')
