-- Which of some entities are searchable.
SELECT DISTINCT entity FROM oaflow.passages WHERE dataset = %(dataset)s AND entity = ANY (%(entities)s::text[])
