-- Finds what an origin said about a document, to replace it. Postgres finds a name.
CREATE INDEX ON {table} (origin, fragment)
