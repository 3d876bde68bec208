-- All fragments of some entities. The order of origins and fragments makes a merge repeatable.
SELECT id, origin, entity
FROM {table}
WHERE id = ANY (%(ids)s)
ORDER BY id, origin, fragment
