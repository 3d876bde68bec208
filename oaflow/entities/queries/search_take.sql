-- Makes room for the new rows of entities that are only refreshed, and returns when they were indexed.
DELETE FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) RETURNING entity, at
