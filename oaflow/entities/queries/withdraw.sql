-- Deletes what some origins have written under some fragments, or what of it is older than a time; returns the entities.
-- Locks in key order, like the writers.
WITH gone AS (
    DELETE FROM {table} AS t
    USING (
        SELECT id, origin, fragment FROM {table}
        WHERE origin = ANY (%(origins)s::text[]) AND fragment = ANY (%(fragments)s::text[])
          AND (%(since)s::timestamp IS NULL OR timestamp IS NULL OR timestamp < %(since)s)
        ORDER BY id, origin, fragment
        FOR UPDATE
    ) AS old
    WHERE t.id = old.id AND t.origin = old.origin AND t.fragment = old.fragment
    RETURNING t.id
)
SELECT DISTINCT id FROM gone
