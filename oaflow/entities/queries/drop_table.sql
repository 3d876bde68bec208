-- Deletes everything about a dataset's entities.
DROP TABLE IF EXISTS {table}
