-- The index of create_index.sql for a table that others made and may be writing to: they go on meanwhile.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} (origin, fragment)
