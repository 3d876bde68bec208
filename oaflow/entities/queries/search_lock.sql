-- Waits for others that replace the same entities. In the order of hashes, so that two groups do not deadlock.
SELECT count(pg_advisory_xact_lock(o.lock)) FROM (
    SELECT DISTINCT hashtextextended('oaflow.passages ' || %(dataset)s || ' ' || u.id, 0) AS lock
      FROM unnest(%(entities)s::text[]) AS u (id) ORDER BY 1 OFFSET 0) o
