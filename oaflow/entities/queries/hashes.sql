-- The files of a dataset, each once. Wanted ones are looked up in a hash: = ANY scans all of them for each row, once the
-- statement has been sent so often that it gets a generic plan.
SELECT DISTINCT hash
  FROM {table} f
 CROSS JOIN LATERAL jsonb_array_elements_text(
       CASE WHEN jsonb_typeof(f.entity::jsonb #> '{{properties,contentHash}}') = 'array'
            THEN f.entity::jsonb #> '{{properties,contentHash}}' ELSE '[]' END) AS hash
 WHERE %(of)s::text[] IS NULL OR hash IN (SELECT unnest(%(of)s::text[]))
