-- The entities whose file has a hash. Reads the whole table: no index would be worth what it costs each write.
SELECT DISTINCT id FROM {table}
 WHERE entity::jsonb #> '{{properties,contentHash}}' ? %(hash)s ORDER BY id LIMIT %(limit)s
