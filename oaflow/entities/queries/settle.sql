-- Delete what earlier attempts and runs said about a document and this attempt did not: all, where it wrote nothing.
-- Answers about what that was. Locked in key order, as the writers do.
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
