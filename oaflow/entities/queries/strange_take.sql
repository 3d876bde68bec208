-- Takes out the fragments of schemata that nobody knows; answers about what. Locked in key order, as the writers do.
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
