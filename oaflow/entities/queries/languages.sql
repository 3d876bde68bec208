-- Entities of a dataset by detected language. An entity may have several, and a language may be in several fragments.
SELECT language, count(DISTINCT f.id)
  FROM {table} f
 CROSS JOIN LATERAL jsonb_array_elements_text(
       CASE WHEN jsonb_typeof(f.entity::jsonb #> '{{properties,detectedLanguage}}') = 'array'
            THEN f.entity::jsonb #> '{{properties,detectedLanguage}}' ELSE '[]' END) AS language
 GROUP BY language ORDER BY count(DISTINCT f.id) DESC, language
