-- How much a dataset holds: entities, documents, and files, each counted once; including files that crawls have found
-- without an entity.
WITH entity AS MATERIALIZED (
    SELECT f.id, bool_or(f.entity::jsonb ->> 'schema' = ANY (%(documents)s::text[])) AS document,
           min(f.entity::jsonb #>> '{{properties,contentHash,0}}') AS hash,
           max(f.entity::jsonb #>> '{{properties,fileSize,0}}') AS size
      FROM {table} f GROUP BY f.id
), file AS (
    SELECT met.hash, max(met.size) AS size FROM (
        SELECT hash, CASE WHEN size ~ '^[0-9]{{1,18}}$' THEN size::bigint END AS size FROM entity WHERE hash IS NOT NULL
        UNION ALL SELECT hash, size FROM unnest(%(hashes)s::text[], %(sizes)s::bigint[]) AS u (hash, size)) met
     GROUP BY met.hash
)
SELECT (SELECT count(*) FROM entity) AS entities, (SELECT count(*) FROM entity WHERE document) AS documents,
       count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes
  FROM file
