-- Of which schemata that nobody knows how many fragments are: such that no entity can be made of.
SELECT coalesce(entity::jsonb ->> 'schema', '') AS schema, count(*) FROM {table}
 WHERE coalesce(entity::jsonb ->> 'schema', '') <> ALL (%(known)s::text[]) GROUP BY 1 ORDER BY 2 DESC, 1
