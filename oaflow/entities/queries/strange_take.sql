-- Deletes the fragments of unknown schemata; returns their entities. Locks in key order, like the writers.
WITH gone AS (
    DELETE FROM {table} AS t
    USING (
        SELECT id, origin, fragment FROM {table}
        WHERE coalesce(entity::jsonb ->> 'schema', '') <> ALL (%(known)s::text[])
          AND (%(origin)s::text IS NULL OR origin = %(origin)s)
        ORDER BY id, origin, fragment
        FOR UPDATE
    ) AS strange
    WHERE t.id = strange.id AND t.origin = strange.origin AND t.fragment = strange.fragment
    RETURNING t.id
)
SELECT DISTINCT id FROM gone
