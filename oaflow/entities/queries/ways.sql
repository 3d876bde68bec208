-- The names of some entities, whether they are folders, and what contains them: for each a list over all origins.
-- OFFSET: looked up one by one; joined, all of the dataset would be read.
SELECT wanted.id, min(f.entity::jsonb #>> '{{properties,fileName,0}}') AS name,
       bool_or(f.entity::jsonb ->> 'schema' = 'Folder') AS folder,
       coalesce(jsonb_agg(f.entity::jsonb #> '{{properties,parent}}'), '[]') AS parents
  FROM unnest(%(ids)s::text[]) AS wanted (id)
 CROSS JOIN LATERAL (SELECT f.entity FROM {table} f WHERE f.id = wanted.id OFFSET 0) f
 GROUP BY wanted.id
