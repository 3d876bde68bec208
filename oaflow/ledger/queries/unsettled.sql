-- The runs of a pipeline and dataset that have ended but are not settled yet, oldest first.
SELECT id FROM oaflow.runs
 WHERE dataset = %(dataset)s AND pipeline = %(pipeline)s AND NOT settled AND state NOT IN ('running', 'paused', 'interrupted')
 ORDER BY created_at, id
