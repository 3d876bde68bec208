-- The origins, from one to the next by the index on (origin, fragment).
WITH RECURSIVE said (origin) AS (
    (SELECT origin FROM {table} ORDER BY origin LIMIT 1)
    UNION ALL
    SELECT (SELECT f.origin FROM {table} f WHERE f.origin > said.origin ORDER BY f.origin LIMIT 1)
      FROM said WHERE said.origin IS NOT NULL
)
SELECT origin FROM said WHERE origin IS NOT NULL
