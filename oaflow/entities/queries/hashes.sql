-- The files of a dataset, each once.
SELECT DISTINCT hash
  FROM {table} f
 CROSS JOIN LATERAL jsonb_array_elements_text(
       CASE WHEN jsonb_typeof(f.entity::jsonb #> '{{properties,contentHash}}') = 'array'
            THEN f.entity::jsonb #> '{{properties,contentHash}}' ELSE '[]' END) AS hash
 WHERE %(of)s::text[] IS NULL OR hash = ANY (%(of)s::text[])
