-- Deletes these; returns their entities. Locks in key order, like the writers.
WITH gone AS (
    DELETE FROM {table} AS t
    USING (
        SELECT id, origin, fragment FROM {table} AS said
        WHERE entity::jsonb ->> 'schema' = %(schema)s
          AND (%(origin)s::text IS NULL OR origin = %(origin)s)
          AND EXISTS (
              SELECT FROM {table} AS o
              WHERE o.id = said.id AND o.entity::jsonb ->> 'schema' = ANY (%(others)s::text[]) OFFSET 0
          )
        ORDER BY id, origin, fragment
        FOR UPDATE
    ) AS conflicting
    WHERE t.id = conflicting.id AND t.origin = conflicting.origin AND t.fragment = conflicting.fragment
    RETURNING t.id
)
SELECT DISTINCT id FROM gone
