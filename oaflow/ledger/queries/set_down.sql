-- The workers that are known, none of which can be blamed any more: whoever they were, they do not work in this database.
UPDATE oaflow.workers SET async_tasks = '{}' RETURNING id
