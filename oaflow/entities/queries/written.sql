-- What this attempt has already written under these ids: a second part of an entity is merged with the first.
SELECT id, origin, fragment, entity
FROM {table}
WHERE id = ANY (%(ids)s) AND timestamp >= %(begun)s
