-- Which origins have written about some entities, and because of what, with a limit for each. `document` tells whether the
-- fragment is an entity, like those of documents.
SELECT said.id, other.origin, other.fragment, EXISTS (SELECT FROM {table} d WHERE d.id = other.fragment) AS document
  FROM unnest(%(ids)s::text[]) AS said (id)
 CROSS JOIN LATERAL (SELECT t.origin, t.fragment FROM {table} t WHERE t.id = said.id LIMIT %(most)s) other
