-- Deletes a run of which nothing else is left.
DELETE FROM oaflow.runs WHERE id = %(run)s
