-- Forgets all known workers without blame: they do not work in this (restored) database.
UPDATE oaflow.workers SET async_tasks = '{}' RETURNING id
