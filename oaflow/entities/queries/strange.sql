-- How many fragments have an unknown schema, by schema and origin: no entity can be made of them.
SELECT coalesce(entity::jsonb ->> 'schema', '') AS schema, origin, count(*) FROM {table}
 WHERE coalesce(entity::jsonb ->> 'schema', '') <> ALL (%(known)s::text[])
   AND (%(origin)s::text IS NULL OR origin = %(origin)s)
 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
