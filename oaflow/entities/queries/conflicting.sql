-- How many fragments of a schema, by origin, have an entity with another schema that cannot be merged with it.
SELECT %(schema)s::text AS schema, t.origin, count(*) FROM {table} AS t
 WHERE t.entity::jsonb ->> 'schema' = %(schema)s
   AND (%(origin)s::text IS NULL OR t.origin = %(origin)s)
   AND EXISTS (
       SELECT FROM {table} AS o
       WHERE o.id = t.id AND o.entity::jsonb ->> 'schema' = ANY (%(others)s::text[]) OFFSET 0
   )
 GROUP BY 2 ORDER BY 3 DESC, 2
