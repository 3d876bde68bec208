-- What some origins have said about some documents and because of them: each entity with who else said something of it, at
-- most 1,000; `document` says whether the other fragment is an entity, as those are that stand for documents.
SELECT said.id, said.schema, other.origin, other.fragment,
       EXISTS (SELECT FROM {table} d WHERE d.id = other.fragment) AS document
  FROM (SELECT id, max(entity::jsonb ->> 'schema') AS schema FROM {table}
         WHERE origin = ANY (%(origins)s::text[]) AND fragment = ANY (%(fragments)s::text[]) GROUP BY id) said
  LEFT JOIN LATERAL (
    SELECT t.origin, t.fragment FROM {table} t
     WHERE t.id = said.id AND NOT (t.origin = ANY (%(origins)s::text[]) AND t.fragment = ANY (%(fragments)s::text[]))
     LIMIT 1000) other ON true
