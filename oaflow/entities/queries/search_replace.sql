-- Makes room for the new rows of entities.
DELETE FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[])
