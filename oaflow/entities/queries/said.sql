-- What was written about a document by any origin, and what some origins wrote because of it, without the texts.
SELECT s.id, s.origin, s.fragment, s.timestamp, s.entity ->> 'schema' AS schema,
       coalesce(s.entity ->> 'caption', s.entity #>> '{{properties,name,0}}', s.entity #>> '{{properties,fileName,0}}',
                s.entity #>> '{{properties,title,0}}') AS caption
  FROM (
    SELECT id, origin, fragment, timestamp, entity::jsonb AS entity FROM {table} WHERE id = %(id)s
     UNION
    SELECT id, origin, fragment, timestamp, entity::jsonb FROM {table}
     WHERE origin = ANY (%(origins)s) AND fragment = %(id)s) s
 ORDER BY s.timestamp, s.origin, s.id, s.fragment
 LIMIT %(limit)s
