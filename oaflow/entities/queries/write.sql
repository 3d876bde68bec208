-- Inserts or overwrites fragments in key order, so that two writers of the same keys wait for each other but do not deadlock.
--
-- `begun` is when this attempt wrote first: it is returned, passed with every later statement of the attempt, and no
-- timestamp of the attempt is before it. It is after everything under the writer's own origin and fragment (`origin` is
-- null if nothing should be replaced), whatever the clock says; so what is older than `begun` is exactly what this
-- attempt did not write. `anew` tells whether nothing was there at all when it wrote first.
--
-- A row that is overwritten gets its time once it is locked, not before the wait for that lock: otherwise, what a slower
-- attempt of the same job writes over the row of a later one would look older than the later one's `begun`.
WITH begun AS (
    SELECT coalesce(
        %(begun)s::timestamp,
        greatest(clock_timestamp() AT TIME ZONE 'UTC', old.latest + interval '1 microsecond')
    ) AS at, old.fragments = 0 AS anew
    FROM (
        SELECT max(timestamp) AS latest, count(*) AS fragments FROM {table}
        WHERE %(begun)s::timestamp IS NULL AND origin = %(origin)s AND fragment = %(fragment)s
    ) AS old
), written AS (
    INSERT INTO {table} AS t (id, origin, fragment, timestamp, entity)
    SELECT r.id, r.origin, r.fragment, greatest(begun.at, clock_timestamp() AT TIME ZONE 'UTC'), r.entity
    FROM json_to_recordset(%(rows)s::json) AS r (id text, origin text, fragment text, entity jsonb), begun
    ORDER BY r.id, r.origin, r.fragment
    ON CONFLICT (id, origin, fragment) DO UPDATE SET
        entity = excluded.entity,
        timestamp = greatest(excluded.timestamp, clock_timestamp() AT TIME ZONE 'UTC')
)
SELECT at, anew FROM begun
