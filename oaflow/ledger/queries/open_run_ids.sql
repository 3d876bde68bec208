-- Unfinished runs.
SELECT id FROM oaflow.runs WHERE state IN ('running', 'paused', 'interrupted')
