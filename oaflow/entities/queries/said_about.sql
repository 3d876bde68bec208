-- The entities of which some origins have said something about some documents and because of them.
SELECT DISTINCT id FROM {table} WHERE origin = ANY (%(origins)s::text[]) AND fragment = ANY (%(fragments)s::text[])
