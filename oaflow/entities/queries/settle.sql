-- Deletes what earlier attempts and runs wrote about a document but this attempt did not: everything, if it wrote nothing.
-- Returns the entities. Locks in key order, like the writers.
WITH gone AS (
    DELETE FROM {table} AS t
    USING (
        SELECT id, origin, fragment FROM {table}
        WHERE origin = %(origin)s AND fragment = %(fragment)s
          AND (%(begun)s::timestamp IS NULL OR timestamp IS NULL OR timestamp < %(begun)s)
        ORDER BY id, origin, fragment
        FOR UPDATE
    ) AS old
    WHERE t.id = old.id AND t.origin = old.origin AND t.fragment = old.fragment
    RETURNING t.id
)
SELECT DISTINCT id FROM gone
