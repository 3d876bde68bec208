-- Makes room for the new rows of entities that did not come to be indexed again, and answers when they did.
DELETE FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[]) RETURNING entity, at
