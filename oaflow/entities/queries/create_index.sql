-- Finds what an origin wrote about a document, to replace it. Postgres chooses a name.
CREATE INDEX ON {table} (origin, fragment)
