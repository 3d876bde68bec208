-- What some entities are called, whether they are folders, and what they lie in: for each who says something of it a list.
-- OFFSET: looked up one by one; joined, all of the dataset would be read.
SELECT wanted.id, min(f.entity::jsonb #>> '{{properties,fileName,0}}') AS name,
       bool_or(f.entity::jsonb ->> 'schema' = 'Folder') AS folder,
       coalesce(jsonb_agg(f.entity::jsonb #> '{{properties,parent}}'), '[]') AS parents
  FROM unnest(%(ids)s::text[]) AS wanted (id)
 CROSS JOIN LATERAL (SELECT f.entity FROM {table} f WHERE f.id = wanted.id OFFSET 0) f
 GROUP BY wanted.id
