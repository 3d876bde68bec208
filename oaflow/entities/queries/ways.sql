-- What some entities lie in: each with all that is above it, by `parent`, 0 being itself. Depth is bounded: a store that
-- others wrote may have a circle.
WITH RECURSIVE way (document, id, depth) AS (
    SELECT wanted.id, wanted.id, 0 FROM unnest(%(ids)s::text[]) AS wanted (id)
    UNION
    SELECT way.document, parent.id, way.depth + 1
      FROM way
      JOIN {table} f ON f.id = way.id
     CROSS JOIN LATERAL jsonb_array_elements_text(
           CASE WHEN jsonb_typeof(f.entity::jsonb #> '{{properties,parent}}') = 'array'
                THEN f.entity::jsonb #> '{{properties,parent}}' ELSE '[]' END) AS parent (id)
     WHERE way.depth < 32
)
SELECT way.document, way.depth, min(f.entity::jsonb #>> '{{properties,fileName,0}}') AS name,
       bool_or(f.entity::jsonb ->> 'schema' = 'Folder') AS folder
  FROM way JOIN {table} f ON f.id = way.id
 GROUP BY way.document, way.depth, way.id
 ORDER BY way.document, way.depth DESC, way.id
