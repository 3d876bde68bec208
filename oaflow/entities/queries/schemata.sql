-- Entities that can be found, by schema. Part 0 is there once for each.
SELECT schema, count(*) FROM oaflow.passages WHERE dataset = %(dataset)s AND part = 0 GROUP BY schema ORDER BY count(*) DESC, schema
