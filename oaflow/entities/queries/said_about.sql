-- The entities that some origins have written because of some documents.
SELECT DISTINCT id FROM {table} WHERE origin = ANY (%(origins)s::text[]) AND fragment = ANY (%(fragments)s::text[])
