-- The index of create_index.sql for a table of another program, which may continue to write to it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} (origin, fragment)
