-- The rows under some keys and, with an origin, all rows under it and a fragment.
SELECT id, origin, fragment, entity FROM {table}
 WHERE (id, origin, fragment) IN (
       SELECT u.id, u.origin, u.fragment FROM unnest(%(ids)s::text[], %(origins)s::text[], %(fragments)s::text[])
              AS u (id, origin, fragment))
 UNION
SELECT id, origin, fragment, entity FROM {table} WHERE origin = %(origin)s AND fragment = %(fragment)s
 ORDER BY id, origin, fragment
