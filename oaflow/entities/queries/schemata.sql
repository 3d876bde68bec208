-- Searchable entities by schema. Each has part 0 once.
SELECT schema, count(*) FROM oaflow.passages WHERE dataset = %(dataset)s AND part = 0 GROUP BY schema ORDER BY count(*) DESC, schema
