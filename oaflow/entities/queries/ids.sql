-- The next ids of a dataset after one, each once.
SELECT DISTINCT id
FROM {table}
WHERE id > %(after)s
ORDER BY id
LIMIT %(limit)s
